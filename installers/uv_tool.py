"""uv, the installer: found on the computer, or fetched by pip into the environment's folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import system_libraries
from find_python import SetupError

# What uv says, and what it means for the user.
_CAUSES = (
    (
        ("No space left", "os error 28", "disk full"),
        "The disk is full. Free some space and run the same command again.",
    ),
    (
        (
            "error sending request",
            "Failed to fetch",
            "dns error",
            "Connection",
            "timed out",
            "tcp connect",
            "Could not connect",
        ),
        "The package index could not be reached. Check the network (a proxy goes into HTTPS_PROXY, a certificate of "
        "your company's into SSL_CERT_FILE) and run the same command again: what was loaded is kept.",
    ),
    (
        ("No solution found", "no wheels", "not found in the package registry", "no version of", "was not found in"),
        "Not all packages are to be had for this system and Python from there. It needs Windows 10 or later (64 bit), "
        "macOS 14 on Apple silicon, or Linux with glibc 2.34 (x86_64) or 2.39 (aarch64).",
    ),
    (
        ("Permission denied", "Access is denied", "os error 13", "os error 5"),
        "A file could not be written: close the program if it runs, and check the folder's permissions.",
    ),
)


def find_or_fetch(folder: Path, wheelhouse: Path | None) -> list[str]:
    """The command that starts uv.

    Raises
    ------
    SetupError
        When neither uv nor pip is there, or pip cannot fetch it.
    """
    private = folder / "uv"
    for command in _known(private):
        if _starts(command, private):
            return command
    pip = _pip(folder)
    print("Fetching uv, the installer (25 MB).", flush=True)
    source = ["--no-index", "--find-links", str(wheelhouse)] if wheelhouse is not None else []
    command = [
        *pip,
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *source,
        "--target",
        str(private),
        "--upgrade",
        "uv",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    shutil.rmtree(folder / "pip", ignore_errors=True)
    found = [_inside(private)]
    if done.returncode == 0 and _starts(found, private):
        return found
    where = (
        f"The wheelhouse {wheelhouse} has no uv for this system." if wheelhouse is not None else "Check the network."
    )
    raise SetupError(f"uv could not be fetched with pip. {where} pip said: {_last_line(done.stderr)}")


def install(uv: list[str], python: Path, arguments: list[str], *, log: Path, source: str = "") -> None:
    """Run ``uv pip install``; its words go to the screen and to ``log``.

    Raises
    ------
    SetupError
        With the cause in one sentence.
    """
    command = [*uv, "pip", "install", "--python", str(python), *arguments]
    lines: list[str] = []
    with (
        log.open("a", encoding="utf-8") as file,
        subprocess.Popen(
            command,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            file.write(line)
            if not line.startswith(" + "):  # two hundred names would hide the rest
                print("  " + line.rstrip(), flush=True)
    if process.returncode != 0:
        where = f" from {source}" if source else ""
        cause = _cause("".join(lines))
        raise SetupError(f"The packages were not installed{where}. {cause}\nAll that uv said is in {log}")


def freeze(uv: list[str], python: Path) -> list[str]:
    """Exact versions of what is installed."""
    done = subprocess.run(
        [*uv, "pip", "freeze", "--quiet", "--python", str(python)], check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


def _known(private: Path) -> list[list[str]]:
    commands = [[_inside(private)]]
    on_path = shutil.which("uv")
    if on_path:
        commands.append([on_path])
    if importlib.util.find_spec("uv") is not None:
        commands.append([sys.executable, "-m", "uv"])
    return commands


def _inside(private: Path) -> str:
    return str(private / "bin" / ("uv.exe" if os.name == "nt" else "uv"))


def _starts(command: list[str], private: Path) -> bool:
    if command == [_inside(private)] and not Path(command[0]).exists():
        return False
    try:
        done = subprocess.run([*command, "--version"], check=False, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return False
    if done.returncode != 0:
        return False
    try:
        version = tuple(int(part) for part in done.stdout.split()[1].split(".")[:2])
    except (IndexError, ValueError):
        return False
    return version >= (0, 5)


def _pip(folder: Path) -> list[str]:
    """A pip: this Python's, or the one ensurepip brings."""
    own = [sys.executable, "-m", "pip"]
    if _answers([*own, "--version"]):
        return own
    if importlib.util.find_spec("ensurepip") is not None:
        bundled = folder / "pip"
        done = subprocess.run(
            [sys.executable, "-m", "ensurepip", "--root", str(bundled), "--default-pip"],
            check=False,
            capture_output=True,
        )
        packages = next(bundled.rglob("pip/__main__.py"), None)
        if done.returncode == 0 and packages is not None:
            return [sys.executable, str(packages.parent)]
    if system_libraries.install(["python3-pip"]) and _answers([*own, "--version"]):
        return own
    if system_libraries.is_debian_like():
        raise SetupError(
            "This Python has no pip to fetch the installer with. Add it:  sudo apt-get install -y python3-pip"
        )
    raise SetupError("This Python has no pip to fetch the installer with. Install uv or pip with your package manager.")


def _answers(command: list[str]) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _environment() -> dict[str, str]:
    environment = {**os.environ, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    environment.setdefault("UV_HTTP_TIMEOUT", "120")
    # a mirror that pip is told about is meant for uv too
    if "PIP_INDEX_URL" in environment:
        environment.setdefault("UV_DEFAULT_INDEX", environment["PIP_INDEX_URL"])
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):
        environment.pop(name, None)
    return environment


def _cause(output: str) -> str:
    for signs, sentence in _CAUSES:
        if any(sign.lower() in output.lower() for sign in signs):
            return sentence
    return f"uv said: {_last_line(output)}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing"
