"""Makes the shared harness importable, whatever the current folder."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.dont_write_bytecode = True

from harness import BOUND, CLOUDS, SANITIZED, SOURCE, Case, Process, free_port, wait_until  # noqa: E402,F401


def pending(pid, number):
    """Whether a signal to the process waits to be taken."""
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("ShdPnd:"):
                    return bool(int(line.split()[1], 16) & (1 << (number - 1)))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return False
