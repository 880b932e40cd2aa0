"""Where files that can be made again are kept between runs."""

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """``$NASPROXY_CACHE`` where set, else the platform's user cache folder; not created here."""
    return Path(os.environ.get("NASPROXY_CACHE") or platformdirs.user_cache_dir("nasproxy"))


def make_folder(path: Path) -> None:
    """Makes ``cache_dir()`` or a folder below it, those between too; new ones are the user's alone.

    What is read from there is trusted as the user's own. Folders that are there stay as they are.

    Raises:
        OSError: it cannot be made.
    """
    top = cache_dir()
    top.parent.mkdir(parents=True, exist_ok=True)
    for folder in (*reversed(path.parents), path):
        if folder == top or top in folder.parents:
            folder.mkdir(mode=0o700, exist_ok=True)
