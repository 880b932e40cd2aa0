"""Reproducing papers: suites of experiments that ask for scores and leave a table and a figure.

A suite is a package with ``PAPER``, what it reproduces; ``EXPERIMENTS``, a tuple of its modules'
names; and ``prepare(options)``, which returns its study. It is registered by an entry point of the
group ``nasproxy.suites``, or goes by its dotted name. An experiment is a module whose docstring's
first line is its title, with ``CLAIM``, what the paper says; ``NEEDS``, the names of the study's
scores that it reads; and ``run(study)``, which returns a :class:`Finding`.
"""

import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol, runtime_checkable

import pandas as pd
from matplotlib.figure import Figure

from nasproxy import files
from nasproxy.checks import Optional, Whole
from nasproxy.errors import SettingError
from nasproxy.plugins import SUITES
from nasproxy.ranking import plots
from nasproxy.reproduce.plan import Plan, Planned, caution
from nasproxy.reproduce.provenance import statement
from nasproxy.store import Store
from nasproxy.truth import tables

HERE = "**Here.**"
"""Before the verdict in a report."""


@dataclass(frozen=True)
class Options:
    """What a user may ask of a suite; None leaves the choice to it.

    Attributes:
        cells: architectures to draw.
        points: training images, of suites that solve kernels of many.
        data: data set by name.
        data_dir: where TFDS keeps prepared data sets.
        truth: folder or file of published accuracies; without it networks are trained here.
        store: file of scores; beside the results by default.
        out: folder that results go to, a folder a suite and an experiment.
        seed: of the draw, the subsets and the initialisations.
        shard: (I, N): only compute every N-th score from the I-th; write no results.
        progress: show progress bars.
        quick: a rehearsal: few architectures and small kernels, in a folder of its own.
    """

    cells: int | None = None
    points: int | None = None
    data: str | None = None
    data_dir: Path | None = None
    truth: Path | None = None
    store: Path | None = None
    out: Path = Path("results")
    seed: int = 0
    shard: tuple[int, int] = (0, 1)
    progress: bool = True
    quick: bool = False

    def folder(self, name: str) -> str:
        """The folder of results of a study: rehearsals never replace a real run's."""
        return f"{name}_quick" if self.quick else name

    def opened(self, name: str) -> Store:
        """The store of a study's scores."""
        path = self.store or self.out / name / "scores.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        return Store(path)


RANKED = Optional(Whole(10, hint="rankings need as many"))
"""What ``cells`` may be of suites that rank."""


@dataclass(frozen=True)
class Finding:
    """What an experiment found.

    Attributes:
        verdict: one sentence: whether the claim holds on what was run, with intervals.
        tables: by name; the first is shown in the README, all are written as .csv.
        figure: one figure.
        notes: further sentences, a paragraph each.
        raw: scores by name that anyone may compute the tables from, written as .parquet; where
            there are none, all that the experiment needs are written, of a study that
            :class:`Keeps` them.
    """

    verdict: str
    tables: dict[str, pd.DataFrame]
    figure: Figure
    notes: Sequence[str] = field(default_factory=tuple)
    raw: Mapping[str, pd.DataFrame] = field(default_factory=dict)


class Study(Protocol):
    """What a suite's experiments share: architectures, data, truth, and the scores of them."""

    @property
    def name(self) -> str:
        """The folder of results: the suite, marked where the data is not the paper's."""
        ...

    @property
    def ranked(self) -> int | None:
        """Architectures that rankings are of; None where nothing is ranked."""
        ...

    def plan(self, needs: Sequence[str], shard: tuple[int, int]) -> list[Planned]:
        """What the named scores take, and what of it is stored."""
        ...

    def compute(self, needs: Sequence[str], shard: tuple[int, int]) -> None:
        """Computes and stores what the store lacks of the named scores."""
        ...

    def describe(self, needs: Sequence[str]) -> list[str]:
        """Markdown lines: sampler, number of architectures, data, truth and settings."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Keeps(Protocol):
    """A study whose scores are written beside the reports that were made of them."""

    def raw(self, need: str) -> pd.DataFrame:
        """Named scores by architecture, beside the truth of the same rows."""
        ...


def experiments(suite: ModuleType) -> dict[str, ModuleType]:
    """The experiments of a suite by name, in the paper's order."""
    return {n: importlib.import_module(f"{suite.__name__}.{n}") for n in suite.EXPERIMENTS}


def title(experiment: ModuleType) -> str:
    """First line of the module's docstring."""
    return (experiment.__doc__ or "").strip().partition("\n")[0]


class Written(NamedTuple):
    """An experiment's title, its verdict, and the folder of its table and figure."""

    title: str
    verdict: str
    folder: Path


def reproduce(
    name: str, options: Options, say: Callable[[str], None] = lambda line: None
) -> Iterator[Written]:
    """Runs an experiment (``suite/experiment``) or a whole suite, and writes what it finds.

    Args:
        name: of it.
        options: what is asked of it.
        say: is told the plan, an estimate of the time that is left, and whether architectures are
            too few for a verdict, a line a call, before the long part begins. Two architectures of
            each kind of score that was never computed here are scored to estimate from.

    Yields:
        Each as it is written; nothing for a shard, which only computes scores.

    Raises:
        SettingError: an unknown name, before anything is computed.
    """
    suite, _, wanted = name.partition("/")
    package = SUITES.find(suite)
    known = experiments(package)
    if wanted and wanted not in known:
        raise SettingError(f"experiment {wanted!r} of {suite}: choose one of {', '.join(known)}")
    chosen = {wanted: known[wanted]} if wanted else known
    study: Study = package.prepare(options)
    try:
        needs = list(dict.fromkeys(need for one in chosen.values() for need in one.NEEDS))
        _announce(study, needs, options, say)
        for label, experiment in chosen.items():
            study.compute(experiment.NEEDS, options.shard)
            if options.shard[1] == 1:
                finding = experiment.run(study)
                folder = options.out / study.name / label
                write(folder, experiment, finding, study)
                index(folder.parent, package)
                yield Written(title(experiment), cautious(finding, study), folder)
    finally:
        study.close()


def _announce(
    study: Study, needs: Sequence[str], options: Options, say: Callable[[str], None]
) -> None:
    def plan() -> Plan:
        return Plan.of(study.plan(needs, options.shard), study.ranked)

    planned = plan()
    for line in planned.lines():
        say(line)
    if too_few := caution(planned.ranked):
        say(f"warning: {too_few}")
    if options.shard[1] == 1:
        for one in planned.scores:
            if one.need in planned.unknown:  # What is no need is the truth's, computed with any.
                study.compute([n for n in needs if n == one.need], (0, -(-one.wanted // 2)))
        planned = plan()
    say(planned.estimate())


def cautious(finding: Finding, study: Study) -> str:
    """The verdict, after a word of caution where architectures are too few for one."""
    return " ".join(filter(None, (caution(study.ranked), finding.verdict)))


def write(folder: Path, experiment: ModuleType, finding: Finding, study: Study) -> None:
    """Writes README.md, the tables and figure.png; replaces what an earlier run wrote, as one."""
    shown = next(iter(finding.tables.values()))
    lines = [
        f"# {title(experiment)}",
        "",
        f"**The paper's claim.** {experiment.CLAIM}",
        "",
        f"{HERE} {cautious(finding, study)}",
        "",
        "![figure](figure.png)",
        "",
        *(line for note in finding.notes for line in (note, "")),
        markdown(shown),
        "",
        *study.describe(experiment.NEEDS),
        "",
        statement("nasproxy"),
    ]
    with files.replacing_folder(folder) as new:
        for label, table in finding.tables.items():
            tables.write_table(table, new / f"{label}.csv")
        for label, table in (finding.raw or _scores(experiment.NEEDS, study)).items():
            tables.write_table(table, new / f"{label}.parquet")
        plots.save(finding.figure, new / "figure.png")
        (new / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _scores(needs: Sequence[str], study: Study) -> dict[str, pd.DataFrame]:
    """What the experiment read, by names for files."""
    if not isinstance(study, Keeps):
        return {}
    plain = {need: re.sub(r"[^a-z0-9.]+", "_", f"scores {need}".lower()) for need in needs}
    return {name: study.raw(need) for need, name in plain.items()}


def index(folder: Path, suite: ModuleType) -> None:
    """Writes a suite's README.md: the verdicts of all experiments that its folder holds."""
    lines = [f"# {suite.PAPER}", ""]
    for label, experiment in experiments(suite).items():
        report = folder / label / "README.md"
        if report.is_file():
            found = report.read_text(encoding="utf-8").split(f"\n{HERE} ")[-1].partition("\n")[0]
            lines += [f"## [{title(experiment)}]({label}/README.md)", "", found, ""]
    files.write_text(folder / "README.md", "\n".join(lines))


def markdown(table: pd.DataFrame) -> str:
    """A pipe table; numbers to four significant digits, NaN as an empty cell."""
    frame = table.reset_index() if table.index.name else table
    text = frame.astype(object).map(_shown)
    return text.to_markdown(index=False, disable_numparse=True, stralign=None)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}"
    return str(value)
