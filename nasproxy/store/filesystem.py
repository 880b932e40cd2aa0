"""Where a file lies: several hosts may see it, and may it be written?"""

import os
from pathlib import Path

import psutil

_NETWORK = (
    *("nfs", "cifs", "smb", "lustre", "gpfs", "mmfs", "fuse", "ceph", "gluster", "beegfs"),
    *("afs", "panfs", "pvfs", "orangefs", "ocfs", "gfs", "9p", "webdav", "davfs", "sshfs"),
)
"""How kinds of file systems begin whose files several hosts may have open."""
_LOCAL = ("fuseblk",)
"""Kinds that begin so and are disks of this host."""


def network_kind(path: Path) -> str | None:
    """The kind of file system that a path is on, if several hosts may share it; else None."""
    kind = _kind(path)
    return kind if kind.startswith(_NETWORK) and kind not in _LOCAL else None


def _kind(path: Path) -> str:
    """Of the innermost mount that holds the path, the last mounted of several; "" if unknown."""
    place, found = Path(os.path.realpath(path)), ("", "")
    for mount in psutil.disk_partitions(all=True):
        if place.is_relative_to(mount.mountpoint) and len(mount.mountpoint) >= len(found[0]):
            found = mount.mountpoint, mount.fstype
    return found[1].lower()


def writable(path: Path) -> bool:
    """Whether an existing file, and files beside it, can be written."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
