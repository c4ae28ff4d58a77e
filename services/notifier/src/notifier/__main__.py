"""`python -m notifier`."""

import os
import sys

from notifier.app import main

if __name__ == "__main__":
    sys.exit(main(os.environ))
