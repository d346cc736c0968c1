"""``python -m ramster`` is the ``ramster`` program."""

import sys

from ramster.cli import main

if __name__ == "__main__":
    sys.exit(main())
