"""Kills writers of tiles again and again, and counts what was lost: its own process, that forks.

    python -m tests.support.killed FOLDER KILLS LOG

The folder was begun. Prints the number of kills that hit a writer, and of tiles that were there
when it was killed and are not, or are others, later.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from nasproxy.tiles import Tiles
from tests.support.kernels import Gauss


def main(folder: Path, kills: int, log: str) -> None:
    rng = random.Random(0)
    hit = lost = 0
    known: dict[Path, tuple[int, int]] = {}
    while hit < kills:
        child = os.fork()
        if not child:
            Tiles(folder, kernel=Gauss(seconds=0.002, log=log)).compute()
            os._exit(0)
        # By what it has done, not by the clock, so that a slow machine's makes something, too.
        wanted, ended, status = len(known) + rng.randint(1, 6), 0, 0
        while not ended and len(_tiles(folder)) < wanted:
            time.sleep(0.001)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            time.sleep(rng.uniform(0, 0.003))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        hit += os.WIFSIGNALED(status)
        found = {path: _stamp(path) for path in _tiles(folder)}
        lost += sum(found.get(path) != stamp for path, stamp in known.items())
        known = found
        if not os.WIFSIGNALED(status):
            break  # All is done: there is nobody left to kill.
    print(hit, lost, len(known))


def _tiles(folder: Path) -> list[Path]:
    return list(folder.glob("[0-9]*/[0-9]*.npy"))


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
