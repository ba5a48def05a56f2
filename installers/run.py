"""Set microscope_qc up in ``.venv`` and start it.

    python3 installers/run.py [--setup-only] [--wheelhouse DIR] [--torch-index URL] [COMMAND ...]

Without a COMMAND it runs the demo; everything from the first other word on is handed to ``microscope-qc``.
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
    """Set up, then start the program in place of this one."""
    from find_python import SetupError, reexec_if_needed

    reexec_if_needed(__file__)
    from environment import parse_options, set_up

    try:
        options, rest = parse_options(sys.argv[1:], usage=__doc__)
        venv = set_up(options)
        if options.setup_only:
            print("Set up. Start it with:  " + venv.command_text())
            return 0
        return venv.start(rest or ["demo"])
    except SetupError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("Stopped. The same command goes on where it was.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
