"""Set microscope_qc up in ``.venv`` and start it.

    python3 installers/run.py [--setup-only] [--wheelhouse DIR] [--torch-index URL] [COMMAND ...]

Without a COMMAND it runs the demo; everything from the first other word on is handed to ``microscope-qc``.
"""

import sys

import old_python


def main():
    """Set up, then start the program in place of this one."""
    old_python.leave()
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
        sys.stderr.write(str(error) + "\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. The same command goes on where it was.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
