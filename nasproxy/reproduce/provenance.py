"""What every result states: the command, the commit, the machine and the versions that made it."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from nasproxy.machine import processor

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "pandas")


def facts(program: str) -> dict[str, str]:
    """What is stated, by name; the program has this process's arguments."""
    command = " ".join([program, *map(shlex.quote, named(sys.argv[1:]))])
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return {
        "command": command,
        "commit": commit(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{processor()}, {os.cpu_count()} processors; {accelerator()}",
        "versions": f"Python {platform.python_version()}, {versions}",
    }


def statement(program: str) -> str:
    """Markdown lines of :func:`facts` for a result's README."""
    found = facts(program)
    found["command"] = f"`{found['command']}`"
    lines = (f"| {name} | {value} |" for name, value in found.items())
    return "\n".join(["| | |", "|---|---|", *lines, ""])


def named(words: list[str]) -> list[str]:
    """Arguments with this machine's folders left out: a file's name, DIR for a folder."""

    def shown(word: str) -> str:
        if Path(word).is_dir():
            return "DIR"
        # Not every word with a slash is a path: a suite's experiment has one too.
        return Path(word).name if Path(word).is_absolute() or Path(word).exists() else word

    return [shown(word) for word in words]


def commit() -> str:
    """The commit of the source, marked where files have changed since; "unknown" outside its git.

    An installed copy may lie within a repository of something else, whose commit says nothing.
    """

    def git(*words: str) -> str:
        result = subprocess.run(
            ["git", *words],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
        return result.stdout.strip() if result.returncode == 0 else ""

    top = git("rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != Path(__file__).resolve().parents[2]:
        return "unknown"
    head = git("rev-parse", "--short=12", "HEAD")
    # Reports written before this one change results/, which computes nothing.
    sources = ["--", ":(top)", ":(top,exclude)results"]
    dirty = git("status", "--porcelain", "--untracked-files=no", *sources)
    changed = " with changes" if dirty else ""
    return f"{head}{changed}" if head else "unknown"


def accelerator() -> str:
    """What JAX computes on."""
    import jax

    devices = jax.devices()
    return f"JAX on {len(devices)} {devices[0].device_kind}"
