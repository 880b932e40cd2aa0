"""Where files that can be made again are kept between runs."""

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """``$NASPROXY_CACHE`` where set, else the platform's user cache folder; not created here."""
    return Path(os.environ.get("NASPROXY_CACHE") or platformdirs.user_cache_dir("nasproxy"))
