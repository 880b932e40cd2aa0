"""Cells, seeds and sizes that the default is chosen from; see :mod:`nasproxy.reproduce.suites`.

Cells are drawn uniformly from those of NAS-Bench-101 whose shortened training is published, by a
seed that no other suite draws by; without published truth a few are trained on digits.
"""

from dataclasses import replace

from nasproxy import NNGP
from nasproxy.reproduce.scores import Request
from nasproxy.reproduce.suites import Options
from nasproxy_experiments.nngp_nas import study as nngp_nas
from nasproxy_experiments.nngp_nas.study import WIDTH, Study

SEEDS = (0, 1, 2, 3, 4)
CELLS, DRAW = 500, 2026
N_TRAIN, N_VALID, MEMBERS = (100, 200, 500, 1000), 200, (1, 2, 4)


def need(seed: int) -> str:
    """What the scores of a seed are called."""
    return f"seed {seed}"


def requests(cells: int, quick: bool) -> dict[str, Request]:
    """All sizes of one seed come out of one set of features."""
    proxy = NNGP(
        n_train=(50, 100) if quick else N_TRAIN,
        n_valid=100 if quick else N_VALID,
        ensemble=(1, 2) if quick else MEMBERS,
        momentum=0.997,
        norm_images=128,
        balanced=True,
        measure="accuracy",
        width=WIDTH,
    )
    return {need(seed): Request(proxy, cells, seed) for seed in SEEDS}


def prepare(options: Options) -> Study:
    """The study that the options describe.

    Raises:
        SettingError, DataError, TruthError, StoreError: before anything is computed.
    """
    small = options.quick or options.truth is None
    cells = options.cells or (nngp_nas.SMALL_CELLS if small else CELLS)
    drawn = replace(options, cells=cells, seed=DRAW + options.seed)
    folder = options.folder("nngp_default" if options.truth else "nngp_default_embedded")
    store = options.store or options.out / folder / "scores.db"
    store.parent.mkdir(parents=True, exist_ok=True)
    study = nngp_nas.prepare(replace(drawn, store=store))
    return replace(study, name=folder, requests=requests(cells, small))
