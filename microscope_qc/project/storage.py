"""Whether a folder is on a network drive: shared memory, which SQLite's WAL needs, does not work there."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

_NETWORK_TYPES = {
    "nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "afpfs", "9p", "webdav", "davfs", "davfs2", "ncpfs",
    "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "vboxsf", "vmhgfs", "virtiofs", "prl_fs", "drvfs",
}  # fmt: skip
_DRIVE_REMOTE = 4  # GetDriveTypeW


def journal_mode(folder: Path) -> str:
    """Return the SQLite journal mode for a folder: "WAL" on a local disk, "DELETE" on a network drive."""
    return "DELETE" if is_network(folder) else "WAL"


def is_network(folder: Path) -> bool:
    """Whether ``folder`` is on a drive of another machine (or on one that behaves like it, such as FUSE)."""
    if sys.platform == "win32":
        return _is_network_windows(folder)
    kind = filesystem_type(folder, mounts()).lower()
    return kind in _NETWORK_TYPES or kind.startswith(("fuse", "nfs", "smb"))


def mounts() -> list[tuple[str, str]]:
    """Return (mount point, type) of everything mounted."""
    try:
        text = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        import psutil  # macOS has no /proc

        return [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    return parse_mounts(text)


def parse_mounts(text: str) -> list[tuple[str, str]]:
    """Parse the lines of ``/proc/mounts``, where a blank in a path is written ``\\040``."""
    fields = (line.split(" ") for line in text.splitlines())
    return [(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), f[1]), f[2]) for f in fields if len(f) > 2]


def filesystem_type(folder: Path, mounted: list[tuple[str, str]]) -> str:
    """Return the type of the file system that holds ``folder`` ("" when unknown)."""
    path = os.path.realpath(folder)
    best, kind = "", ""
    for point, fstype in mounted:
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # a later mount on the same point hides the earlier one
            best, kind = point, fstype
    return kind


def _is_network_windows(folder: Path) -> bool:
    path = str(folder.absolute())
    if (path.startswith("\\\\") and not path.startswith("\\\\?\\")) or path.startswith("\\\\?\\UNC\\"):
        return True
    import ctypes

    drive = os.path.splitdrive(path.removeprefix("\\\\?\\"))[0] + "\\"
    kind: int = ctypes.windll.kernel32.GetDriveTypeW(drive)  # type: ignore[attr-defined,unused-ignore]
    return kind == _DRIVE_REMOTE
