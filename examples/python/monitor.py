"""Who serves what?"""
import sys

import clouds

with clouds.Monitor(*sys.argv[1:]) as monitor:
    for name, ids in sorted(monitor.status()["methods"].items()):
        print(name, *ids)
