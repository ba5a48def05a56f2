"""``python -m microscope_qc`` is the same as ``microscope-qc``."""

import sys

from microscope_qc.cli import main

if __name__ == "__main__":
    sys.exit(main())
