"""Makes the shared harness importable, whatever the current folder."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.dont_write_bytecode = True

from harness import BOUND, CLOUDS, SANITIZED, Case, Process, wait_until  # noqa: E402,F401
