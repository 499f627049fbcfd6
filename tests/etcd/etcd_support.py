"""What the tests of etcd:// share: the harness, and clients under load (tests/robustness)."""
import os
import signal  # noqa: F401
import sys
import time  # noqa: F401

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "robustness"))
sys.dont_write_bytecode = True

from support import BOUND, LATE, RENEWING, SANITIZED, Case, Load, Process, wait_until  # noqa: E402,F401
from harness import Etcd, free_port  # noqa: E402,F401
