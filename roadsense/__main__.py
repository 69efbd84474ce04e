"""`python -m roadsense` is the same as `roadsense`."""

import sys

from roadsense.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
