"""The environment ``.venv`` of this checkout: made once, brought up to date when the project's needs change."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import system_libraries
import uv_tool
from find_python import SetupError

__all__ = ["Options", "SetupError", "Venv", "parse_options", "set_up"]

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "installers" / "constraints.txt"
_STAMP = "microscope_qc-set-up.json"

# Measured sizes of the wheels in constraints.txt: to be downloaded, and on the disk (GB).
_SIZES_GB = {"linux": (3.7, 7.2), "win32": (0.8, 2.2), "darwin": (1.0, 2.2)}


@dataclass
class Options:
    """What the user asked for on the command line."""

    setup_only: bool = False
    wheelhouse: Path | None = None
    torch_index: str | None = None
    extras: set[str] = field(default_factory=set)


class Venv:
    """The virtual environment in the root of the checkout."""

    def __init__(self, folder: Path = ROOT / ".venv") -> None:
        self.folder = folder
        self.programs = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.programs / ("python.exe" if os.name == "nt" else "python")
        self.program = self.programs / ("microscope-qc.exe" if os.name == "nt" else "microscope-qc")

    def command_text(self) -> str:
        """What a user types to start the program."""
        with contextlib.suppress(ValueError):
            return str(self.program.relative_to(Path.cwd()))
        return str(self.program)

    def start(self, arguments: list[str]) -> int:
        """Run the program in place of this process."""
        command = [str(self.program), *arguments]
        if os.name != "nt":
            sys.stdout.flush()
            os.execv(command[0], command)
        process = subprocess.Popen(command)
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # the program got it too and ends in its own way
                return process.wait()

    def stamp(self) -> dict:
        """What the last complete set-up left behind; empty when there was none."""
        try:
            stamp = json.loads((self.folder / _STAMP).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def write_stamp(self, stamp: dict) -> None:
        """Say that the set-up is complete."""
        temporary = self.folder / (_STAMP + ".new")
        temporary.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
        temporary.replace(self.folder / _STAMP)

    def forget_stamp(self) -> None:
        """Say that the set-up is not complete, so that an interruption is noticed."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / _STAMP).unlink()

    def works(self) -> bool:
        """Whether its Python starts and is one the program runs on."""
        try:
            probe = "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"
            return subprocess.run([str(self.python), "-c", probe], check=False, timeout=60).returncode == 0
        except (OSError, subprocess.SubprocessError):
            return False

    def make(self) -> None:
        """Make it from scratch, without pip: a Python that lacks ensurepip will do."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        try:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.folder)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SetupError(
                f"The environment {self.folder} could not be made ({error}). Check that the folder can be written; "
                "on Debian and Ubuntu:  sudo apt-get install python3-venv"
            ) from error


def parse_options(arguments: list[str], *, usage: str) -> tuple[Options, list[str]]:
    """Take this script's own options from the front; the rest belongs to the program."""
    options, rest = Options(), list(arguments)
    while rest:
        name, _, value = rest[0].partition("=")
        if name in ("-h", "--help"):
            print((usage or "").strip())
            sys.exit(0)
        if name == "--setup-only":
            options.setup_only = True
            del rest[:1]
        elif name in ("--wheelhouse", "--torch-index"):
            if not value:
                if len(rest) < 2:
                    raise SetupError(f"{name} needs a value.")
                value = rest.pop(1)
            if name == "--wheelhouse":
                options.wheelhouse = Path(value).resolve()
            else:
                options.torch_index = value
            del rest[:1]
        else:
            break
    if options.wheelhouse is not None and not options.wheelhouse.is_dir():
        raise SetupError(f"The wheelhouse {options.wheelhouse} is not a folder.")
    return options, rest


def set_up(options: Options) -> Venv:
    """Make or repair the environment; takes milliseconds when there is nothing to do.

    Raises
    ------
    SetupError
        When the user has to do something first.
    """
    venv = Venv()
    if _is_ready(venv, options):
        return venv
    with _one_at_a_time():
        if not _is_ready(venv, options):
            _install(venv, options)
    return venv


def _wanted(options: Options, before: dict) -> dict:
    digest = hashlib.sha256()
    for path in (ROOT / "pyproject.toml", CONSTRAINTS):
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return {
        "needs": digest.hexdigest(),
        "root": str(ROOT),
        "extras": sorted({*before.get("extras", []), *options.extras}),
        "torch_index": options.torch_index or before.get("torch_index"),
    }


def _is_ready(venv: Venv, options: Options) -> bool:
    stamp = venv.stamp()
    return bool(stamp) and stamp == _wanted(options, stamp) and venv.python.exists() and venv.program.exists()


def _install(venv: Venv, options: Options) -> None:
    started = time.monotonic()
    before = venv.stamp()
    wanted = _wanted(options, before)
    system_libraries.provide(tests="test" in wanted["extras"])
    if before.get("root", str(ROOT)) != str(ROOT) or not venv.works():
        print(f"Making {venv.folder}", flush=True)
        venv.make()
    venv.forget_stamp()
    _announce(options)
    uv = uv_tool.find_or_fetch(venv.folder, options.wheelhouse)
    log = venv.folder / "set-up.log"
    constraints = CONSTRAINTS
    if wanted["torch_index"]:
        constraints = _install_torch(uv, venv, wanted["torch_index"], log)
    project = str(ROOT) + (f"[{','.join(wanted['extras'])}]" if wanted["extras"] else "")
    arguments = ["--constraints", str(constraints), "--build-constraints", str(CONSTRAINTS), "--editable", project]
    if options.wheelhouse is not None:
        arguments = ["--no-index", "--find-links", str(options.wheelhouse), *arguments]
    uv_tool.install(uv, venv.python, arguments, log=log)
    venv.write_stamp(wanted)
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)


def _announce(options: Options) -> None:
    if options.wheelhouse is not None:
        print(f"Installing from {options.wheelhouse}; nothing is downloaded.", flush=True)
        return
    download, disk = _SIZES_GB.get(sys.platform, _SIZES_GB["linux"])
    more = ", and PyTorch from the index you named" if options.torch_index else ""
    print(
        f"Up to {download} GB will be downloaded{more} (less when uv kept them from another time); "
        f"installed they take {disk} GB.",
        flush=True,
    )
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < disk:
        print(f"Only {free:.1f} GB are free on this disk; it may not be enough.", flush=True)


def _install_torch(uv: list[str], venv: Venv, index: str, log: Path) -> Path:
    """Install torch from an index of its own; give constraints in which the pins of its family are replaced by it."""
    # whatever torch is there already has to make way for that index's
    reinstall = ["--reinstall-package", "torch", "--reinstall-package", "torchvision"]
    arguments = ["--index-url", index, *reinstall, "torch>=2.11", "torchvision>=0.26"]
    uv_tool.install(uv, venv.python, arguments, log=log, source=f"the index {index}")
    frozen = uv_tool.freeze(uv, venv.python)
    pins = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if not _is_torch_family(line)]
    pins += [line for line in frozen if _is_torch_family(line)]
    path = venv.folder / "constraints-torch.txt"
    path.write_text("\n".join(pins) + "\n", encoding="utf-8")
    return path


def _is_torch_family(pin: str) -> bool:
    return pin.startswith(("torch==", "torchvision==", "triton", "pytorch-triton", "nvidia-", "cuda-"))


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two set-ups of one checkout at once would spoil each other's work; the lock goes with its process."""
    name = hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    path = Path(tempfile.gettempdir()) / f"microscope_qc-set-up-{name}-{user}.lock"
    with path.open("a+b") as file:
        if not _try_lock(file):
            print("Another set-up of this folder is running; waiting for it.", flush=True)
            while not _try_lock(file):
                time.sleep(0.5)
        yield


def _try_lock(file) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
