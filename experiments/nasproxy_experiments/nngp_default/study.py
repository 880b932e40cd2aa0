"""Cells, seeds and sizes that the default is chosen from; see :mod:`nasproxy.reproduce.suites`.

Cells are drawn uniformly from those of NAS-Bench-101 whose shortened training is published, by a
seed that no other suite draws by; without published truth a few are trained on digits. The parts,
which vary more than sizes, have further cells of the same draw and further seeds. Widths at equal
rank are of the first cells again, on images of half the side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from nasproxy import NNGP
from nasproxy.named import data_of
from nasproxy.reproduce.pool import Pool
from nasproxy.reproduce.scores import Request, spelled
from nasproxy.reproduce.suites import Options
from nasproxy_experiments.nngp_nas import study as nngp_nas
from nasproxy_experiments.nngp_nas.study import WIDTH, Study

SEEDS = (0, 1, 2, 3, 4)
CELLS, DRAW = 500, 2026
N_TRAIN, N_VALID, MEMBERS = (100, 200, 500, 1000), 200, (1, 2, 4)

PART_CELLS, SMALL_PART_CELLS = 96, 20
"""Cells of the parts, of which one half chooses and the other judges."""
HALVES = {"choosing": (5, 6), "judging": (7, 8)}
"""Seeds of each half of the parts."""


class Look(NamedTuple):
    """What the networks of a part are: channels of the stem, pixels averaged a side, M."""

    width: int
    pool: int
    members: tuple[int, ...]


LOOKS = {
    "members": Look(WIDTH, 1, (1, 2, 4, 8)),
    "16×16 pixels": Look(WIDTH, 2, (1, 2, 4, 8, 16)),
    "width 8": Look(8, 1, (1, 2, 4, 8)),
    "width 32": Look(32, 1, (1,)),
}
"""Parts by name; the first is what the others are held against."""
PART_TRAIN = (200, 500)


class Wide(NamedTuple):
    """Networks of one width at every M; the last has the rank of all widths.

    Attributes:
        width: channels of the stem; features are four times as many.
        members: M.
        cells: how many of the draw.
    """

    width: int
    members: tuple[int, ...]
    cells: int


WIDTHS = (Wide(16, (1, 2, 4, 8), 300), Wide(64, (1, 2), 300), Wide(128, (1,), 100))
"""Width · M is 128 at the last M: a kernel's rank is at most as many features, 4 · width · M."""
RANK_SEEDS = (9, 10, 11)
RANK_POOL, RANK_TRAIN = 2, 1000
"""Pixels averaged a side, and training images."""


@dataclass(eq=False)
class DefaultStudy(Study):
    """The cells of all experiments, those of the parts in pools of their own.

    Attributes:
        pools: by need, where it is not the first cells of the draw at full resolution.
    """

    pools: Mapping[str, Pool] = field(default_factory=dict)

    def pool_of(self, need: str) -> Pool:
        return self.pools.get(need, self.pool)

    def describe(self, needs: Sequence[str]) -> list[str]:
        lines = super().describe([])[:-1]
        for need in needs:
            pool = self.pool_of(need)
            own = "" if pool is self.pool else f", of {pool.drawn}, on {pool.images.name}"
            lines.append(f"{pool.line(need, self.requests[need])}{own}")
        return [*lines, ""]


def need(seed: int) -> str:
    """What the scores of a seed are called."""
    return f"seed {seed}"


def part(look: str, seed: int) -> str:
    """What the scores of a part by a seed are called."""
    return f"{look}, seed {seed}"


def of_width(width: int, seed: int) -> str:
    """What the scores of a width by a seed are called."""
    return f"width {width} at equal rank, seed {seed}"


EQUAL_RANK = tuple(of_width(wide.width, seed) for wide in WIDTHS for seed in RANK_SEEDS)
PARTS = tuple(part(look, seed) for look in LOOKS for seeds in HALVES.values() for seed in seeds)


def _nngp(width: int, **sizes: Any) -> NNGP:
    return spelled(NNGP, NNGP.presets["paper"], width=width, **sizes)


def requests(cells: int, part_cells: int, small: bool) -> dict[str, Request]:
    """All sizes of one seed come out of one set of features, as do all of a part's."""
    proxy = _nngp(
        WIDTH,
        n_train=(50, 100) if small else N_TRAIN,
        n_valid=100 if small else N_VALID,
        ensemble=(1, 2) if small else MEMBERS,
    )
    found = {need(seed): Request(proxy, cells, seed) for seed in SEEDS}
    for name, look in LOOKS.items():
        proxy = _nngp(
            look.width,
            n_train=(50, 100) if small else PART_TRAIN,
            n_valid=100 if small else N_VALID,
            ensemble=look.members[:2] if small else look.members,
        )
        half = part_cells // 2
        found |= {
            part(name, seed): Request(proxy, half, seed)
            for seeds in HALVES.values()
            for seed in seeds
        }
    for wide in WIDTHS:
        proxy = _nngp(
            wide.width,
            n_train=50 if small else RANK_TRAIN,
            n_valid=100 if small else N_VALID,
            ensemble=wide.members,
        )
        count = min(wide.cells, cells)
        found |= {of_width(wide.width, seed): Request(proxy, count, seed) for seed in RANK_SEEDS}
    return found


def prepare(options: Options) -> Study:
    """The study that the options describe.

    Raises:
        SettingError, DataError, TruthError, StoreError: before anything is computed.
    """
    small = options.quick or options.truth is None
    cells = options.cells or (nngp_nas.SMALL_CELLS if small else CELLS)
    further = SMALL_PART_CELLS if small else PART_CELLS
    drawn = replace(options, cells=cells + further, seed=DRAW + options.seed)
    folder = options.folder("nngp_default" if options.truth else "nngp_default_embedded")
    store = options.store or options.out / folder / "scores.db"
    store.parent.mkdir(parents=True, exist_ok=True)
    study = nngp_nas.prepare(replace(drawn, store=store))
    return DefaultStudy(
        folder,
        study.pool,
        study.published,
        requests(cells, further, small),
        _pools(study.pool, cells, further, options),
    )


def _pools(pool: Pool, first: int, further: int, options: Options) -> dict[str, Pool]:
    """The cells after the first, one half by each half's seeds, by every number of pixels; the
    first for widths at equal rank."""
    keys = list(pool.architectures)[first:]
    starts = dict(zip(HALVES, (0, further // 2), strict=True))
    text = options.data or ("digits" if options.truth is None else "cifar10")
    images = {1: pool.images}
    for block in {RANK_POOL, *(look.pool for look in LOOKS.values())} - {1}:
        pooled = f"{text}{',' if ':' in text else ':'}pool={block}"
        images[block] = data_of(pooled, options.data_dir)
    pools = dict.fromkeys(EQUAL_RANK, replace(pool, images=images[RANK_POOL]))
    for half, seeds in HALVES.items():
        start, count = starts[half], further // 2
        own = {key: pool.architectures[key] for key in keys[start : start + count]}
        drawn = f"{pool.drawn}, {first + start} to {first + start + count - 1}"
        by_block = {
            block: replace(pool, architectures=own, images=of, drawn=drawn)
            for block, of in images.items()
        }
        pools |= {
            part(label, seed): by_block[look.pool]
            for label, look in LOOKS.items()
            for seed in seeds
        }
    return pools
