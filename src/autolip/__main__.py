"""`python -m autolip`: the command line."""

import sys

from autolip.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
