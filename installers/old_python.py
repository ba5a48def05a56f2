"""Leave an old Python for a newer one. This file is read by any Python since 2.7, so it uses nothing newer."""

import os
import subprocess
import sys


def leave():
    """Start the script again with a fitting Python, or end with a sentence, when this one cannot read the set-up."""
    if sys.version_info >= (3, 8):  # noqa: UP036
        return
    for name in ("python3.12", "python3.13", "python3.11"):
        try:
            # a name on the PATH may be a signpost to a Python that is not there
            if _answers(name):
                os.execvp(name, [name] + sys.argv)  # noqa: RUF005
        except OSError:
            continue
    sys.exit("microscope_qc needs Python 3.11, 3.12 or 3.13, and this is an older one. Install Python 3.12.")


def _answers(name):
    process = subprocess.Popen([name, "-c", "print(1)"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return process.communicate()[0].strip() == b"1"
