"""Awkward inputs by the minute: ``python -m tests.fuzz --minutes 10``.

Prints what was tried and all that was not a clear error; the exit code is 1 where there is any.
"""

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from tests.fuzz.running import Tally, try_one
from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="how long, all targets together")
    parser.add_argument("--seed", type=int, default=None, help="to try the same inputs again")
    parser.add_argument("--only", nargs="*", choices=list(TARGETS), help="some of the targets")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    seed = int(time.time()) if given.seed is None else given.seed
    chosen = given.only or list(TARGETS)
    tallies = {name: Tally() for name in chosen}
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            (place := Path(folder) / name.replace(" ", "_")).mkdir()
            target, rng = TARGETS[name](place), np.random.default_rng(seed)
            end = time.monotonic() + 60 * given.minutes / len(chosen)
            while time.monotonic() < end:
                try_one(target, rng, tallies[name])
            _print(name, tallies[name])
    unclear = [(name, text) for name, tally in tallies.items() for text in tally.unclear]
    print(
        f"seed {seed}: {sum(t.tried for t in tallies.values()):,} inputs, {len(unclear)} not clear"
    )
    for name, text in unclear:
        print(f"{name}: {text}")
    return int(bool(unclear))


def _print(name: str, tally: Tally) -> None:
    print(
        f"{name:24} {tally.tried:8,} tried {tally.accepted:8,} accepted {tally.refused:8,} refused"
        f"  {len(tally.unclear):4} not clear  slowest {tally.slowest:.2f} s",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
