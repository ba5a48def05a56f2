"""Set microscope_qc up in ``.venv`` and run all its checks: lint, types, import contracts, tests.

    python3 installers/test.py [--long] [--fast] [--measure] [--wheelhouse DIR] [--torch-index URL] [TEST_FILE ...]

--long runs the full counts, --fast leaves out the windows and the types. --measure keeps what each test file takes in
installers/test_seconds.json, by which the tests are shared out over the processes. Where there is no screen the windows
open on a virtual one. The last line counts the tests.
"""

import sys

import old_python


def main():
    """Set up, then run the checks; 0 when all of them passed."""
    old_python.leave()
    from find_python import SetupError, reexec_if_needed

    reexec_if_needed(__file__)
    from checks import run_checks
    from environment import parse_options, set_up

    words = sys.argv[1:]
    long_counts, fast, measure = "--long" in words, "--fast" in words, "--measure" in words
    try:
        options, files = parse_options(
            [w for w in words if w not in ("--long", "--fast", "--measure")],
            usage=__doc__,
        )
        options.extras.add("test")
        venv = set_up(options)
        if options.setup_only:
            return 0
        return run_checks(venv, files=files, long_counts=long_counts, fast=fast, measure=measure)
    except SetupError as error:
        sys.stderr.write(str(error) + "\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
