"""`python -m cyclegan translate | push | pull`."""

import sys

from cyclegan.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
