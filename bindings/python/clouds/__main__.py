"""python3 -m clouds: the program for those who have the package alone."""
import sys

from clouds._cli import main

if __name__ == "__main__":
    sys.exit(main())
