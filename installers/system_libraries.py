"""Libraries of the operating system that the window needs on Linux."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

_WINDOW = (
    "libgl1",
    "libegl1",
    "libopengl0",
    "libfontconfig1",
    "libxkbcommon-x11-0",
    "libxcb-cursor0",
    "libxcb-icccm4",
    "libxcb-keysyms1",
    "libxcb-image0",
    "libxcb-render-util0",
    "libxcb-xinerama0",
    "libxcb-shape0",
    "libxcb-xkb1",
)
# Qt's web engine, which prints reports as PDF: what its libraries name, and the packages above do not bring
_WEB_ENGINE = (
    "libnss3",
    "libgbm1",
    "libdbus-1-3",
    "libgssapi-krb5-2",
    "libxcb-dri3-0",
    "libxkbfile1",
    "libxcomposite1",
    "libxdamage1",
    "libxrandr2",
    "libxtst6",
    "libasound2t64|libasound2",  # the first since Debian 13 and Ubuntu 24.04
)
_TESTS = ("xvfb",)


def is_debian_like() -> bool:
    """Whether packages are dpkg's here."""
    return Path("/etc/debian_version").exists() and shutil.which("dpkg-query") is not None


def missing(*, tests: bool) -> list[str]:
    """Names of the packages that are not installed; empty where nothing can be said."""
    if not is_debian_like():
        return []
    wanted = [name.split("|") for name in (*_WINDOW, *_WEB_ENGINE, *(_TESTS if tests else ()))]
    answer = subprocess.run(
        ["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *(name for names in wanted for name in names)],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")}
    return [_offered(names) for names in wanted if installed.isdisjoint(names)]


def _offered(names: list[str]) -> str:
    """The first of several names of a package that this system can install; the last where it knows none."""
    for name in names[:-1]:
        known = subprocess.run(["apt-cache", "show", name], capture_output=True, check=False)
        if known.returncode == 0 and known.stdout:
            return name
    return names[-1]


def provide(*, tests: bool) -> None:
    """Install what is missing when root; otherwise say the one command that does it."""
    names = missing(tests=tests)
    if names and not install(names):
        sudo = "" if os.geteuid() == 0 else "sudo "
        print("The window needs libraries of the system that are missing. This command adds them:")
        print(f"    {sudo}apt-get install -y {' '.join(names)}", flush=True)


def install(names: list[str]) -> bool:
    """Install Debian packages as root; False when that is not possible."""
    if not is_debian_like() or os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print(f"Adding system libraries: {' '.join(names)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names]
    for refresh in (False, True):
        if refresh:
            subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False, stdout=subprocess.DEVNULL)
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            return True
    print(done.stderr.strip()[-500:])
    return False
