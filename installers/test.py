"""Set microscope_qc up in ``.venv`` and run all its checks: lint, types, import contracts, tests.

    python3 installers/test.py [--long] [--fast] [--wheelhouse DIR] [--torch-index URL] [TEST_FILE ...]

--long runs the full counts, --fast leaves out the windows and the types. Where there is no screen the windows open on a
virtual one. The last line counts the tests.
"""

import os
import sys

if sys.version_info < (3, 8):  # noqa: UP036 - an old python3 must be able to read this file, and to find a newer one
    for _name in ("python3.12", "python3.13", "python3.11"):
        try:  # noqa: SIM105
            os.execvp(_name, [_name] + sys.argv)  # noqa: RUF005
        except OSError:
            pass
    sys.exit("microscope_qc needs Python 3.11, 3.12 or 3.13, and this is an older one. Install Python 3.12.")


def main():
    """Set up, then run the checks; 0 when all of them passed."""
    from find_python import SetupError, reexec_if_needed

    reexec_if_needed(__file__)
    from checks import run_checks
    from environment import parse_options, set_up

    words = sys.argv[1:]
    long_counts, fast = "--long" in words, "--fast" in words
    try:
        options, files = parse_options([w for w in words if w not in ("--long", "--fast")], usage=__doc__)
        options.extras.add("test")
        venv = set_up(options)
        if options.setup_only:
            return 0
        return run_checks(venv, files=files, long_counts=long_counts, fast=fast)
    except SetupError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
