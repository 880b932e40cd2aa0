"""Claims of papers, each with the rule that judges it, and the page that says what holds.

A suite's package names the modules that state its claims, ``CLAIMS = ("claims",)``; each of them
has a tuple of :class:`Claim` of that name. A rule is written before the numbers that it judges are
made, and it alone chooses between the four words.
"""

import importlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from nasproxy import files
from nasproxy.errors import TruthError
from nasproxy.plugins import SUITES
from nasproxy.reproduce.statistics import Estimate

HOLDS, FAILS, UNDECIDED, NOT_TESTED = WORDS = ("holds", "fails", "undecided", "not tested")
"""What a verdict is."""


@dataclass(frozen=True)
class Rule:
    """A claim about a number: that it lies between two bounds.

    It holds if the whole interval does, fails if the whole interval lies beyond either bound, and
    is undecided otherwise, so also where there is no interval (NaN).

    Attributes:
        above: the lower bound.
        below: the upper bound.
    """

    above: float = -math.inf
    below: float = math.inf

    def __post_init__(self) -> None:
        if not self.above < self.below or (math.isinf(self.above) and math.isinf(self.below)):
            raise ValueError(f"a rule from {self.above} to {self.below}: give a bound, in order")

    def verdict(self, estimate: Estimate) -> str:
        """One of :data:`WORDS`, never ``not tested``."""
        if self.above < estimate.low and estimate.high < self.below:
            return HOLDS
        if estimate.high < self.above or estimate.low > self.below:
            return FAILS
        return UNDECIDED

    def __str__(self) -> str:
        if math.isinf(self.below):
            return f"above {self.above:g}"
        if math.isinf(self.above):
            return f"below {self.below:g}"
        return f"between {self.above:g} and {self.below:g}"


class Evidence(NamedTuple):
    """What was found.

    Attributes:
        estimate: the number and its interval; both ends are the number where it has none, because
            it was counted.
        n: of what the interval is over, or what was counted.
        of: what ``n`` counts.
        seeds: of images and weights; None where nothing was drawn.
    """

    estimate: Estimate
    n: int
    of: str = "cells"
    seeds: int | None = 1


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper.

    Attributes:
        paper: its short name.
        number: within the paper, such as ``5`` or ``5a``.
        section: what it is grouped by: a section or a figure.
        text: what the paper claims.
        published: the paper's own number, in its words.
        quantity: what is judged, a noun phrase that begins the sentence.
        rule: what decides.
        find: reads evidence from the folder of results; None where nothing was run.
        report: the evidence's report, relative to that folder.
        smaller: in which way the experiment is smaller than the paper's, if that keeps it from
            refuting: it then never ``fails``.
        missing: why nothing was run.
    """

    paper: str
    number: str
    section: str
    text: str
    published: str
    quantity: str = ""
    rule: Rule | None = None
    find: Callable[[Path], Evidence] | None = None
    report: str = ""
    smaller: str = ""
    missing: str = ""

    def __post_init__(self) -> None:
        parts = (self.rule, self.find, self.quantity, self.report)
        if any(parts) != all(parts) or bool(self.missing) == any(parts):
            raise ValueError(
                f"claim {self.paper}/{self.number}: give quantity, rule, find and report, or else "
                "what is missing"
            )


def ruled(
    paper: str,
    number: str,
    section: str,
    text: str,
    published: str,
    quantity: str,
    rule: Rule,
    find: Callable[[Path], Evidence],
    folder: str,
    smaller: str = "",
) -> Claim:
    """A claim that a rule judges, by the report in a folder; arguments as in :class:`Claim`."""
    report = f"{folder}/README.md"
    return Claim(paper, number, section, text, published, quantity, rule, find, report, smaller)


def unjudged(
    paper: str, number: str, section: str, text: str, published: str, missing: str
) -> Claim:
    """A claim that nothing here judges, and why."""
    return Claim(paper, number, section, text, published, missing=missing)


class Judged(NamedTuple):
    """A claim, what was found, and its verdict, one of :data:`WORDS`."""

    claim: Claim
    evidence: Evidence | None
    verdict: str

    @property
    def sentence(self) -> str:
        """The verdict in plain words."""
        claim, evidence = self.claim, self.evidence
        if evidence is None:
            folder = claim.report.rpartition("/")[0]
            return claim.missing or f"its report, {folder}, is not among these results."
        found = f"{claim.quantity} is {shown(evidence.estimate)}"
        match self.verdict:
            case "holds":
                return f"{found}, {claim.rule}."
            case "fails":
                return f"{found}, not {claim.rule}."
            case _:
                size = f" at this size ({claim.smaller})" if claim.smaller else ""
                return f"{found}, which does not tell{size} whether it is {claim.rule}."


def judge(claim: Claim, results: Path) -> Judged:
    """The verdict on a claim by the results in a folder; not tested where its report is absent.

    Raises:
        TruthError: a table beside the report is damaged, or of another version of the report.
    """
    if claim.find is None or claim.rule is None or not (results / claim.report).is_file():
        return Judged(claim, None, NOT_TESTED)
    try:
        evidence = claim.find(results)
    except (OSError, ValueError, LookupError) as error:
        folder = claim.report.rpartition("/")[0]
        raise TruthError(
            f"claim {claim.number} of {claim.paper}: tables in {folder} cannot be read "
            f"({type(error).__name__}: {error}): restore that folder, or make its report again"
        ) from error
    verdict = claim.rule.verdict(evidence.estimate)
    if verdict == FAILS and claim.smaller:
        verdict = UNDECIDED
    return Judged(claim, evidence, verdict)


def shown(estimate: Estimate) -> str:
    """Three significant digits, and the interval if there is one."""
    value = f"{estimate.value:.3g}"
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return f"{value} (no interval)"
    if estimate.low == estimate.value == estimate.high:
        return value
    return f"{value} [{estimate.low:.3g}, {estimate.high:.3g}]"


def stated(suite: ModuleType) -> list[Claim]:
    """The claims that a suite states, in its order; none where it states none."""
    modules = getattr(suite, "CLAIMS", ())
    return [
        claim
        for name in modules
        for claim in importlib.import_module(f"{suite.__name__}.{name}").CLAIMS
    ]


def every() -> list[Claim]:
    """The claims of all suites; raises ValueError where two have one number."""
    found = [claim for suite in SUITES.values() for claim in stated(suite)]
    taken = set()
    for claim in found:
        if (claim.paper, claim.number) in taken:
            raise ValueError(f"two claims are {claim.paper}/{claim.number}: renumber one")
        taken.add((claim.paper, claim.number))
    return found


INTRODUCTION = """\
# What the papers claim, and what holds

Written by `nasproxy reproduce --claims` from the reports in this folder; no number is typed in.
A verdict is one word, by a rule that is code: `claims.py` of a suite. A claim **holds** if the
whole 95 % interval lies where the rule says, **fails** if all of it lies elsewhere, and is
**undecided** in between, and where an experiment smaller than the paper's cannot refute. *Here* is
ours, *published* the paper's own. The rules on papers 000 and 001 were written when the numbers of
the present reports were known, with the papers' bounds or margins that are said to be chosen here;
those on kernels (002, and 42 of 001), on searches, widths and other spaces, and on 4, 5, 12 to 14,
17, 19 and 21 to 23 of 000 and 7, 19, 25, 32 to 34, 40, 41 and those with a w of 001 were committed
before their numbers were made; those with an s when one of their seeds was known, 15 and 16 of 000
when those of a tenth of the steps were; those with a g, which ask for an accelerator (`nasproxy
reproduce nngp_nas_large`), before any of their scores was made. What holds by one seed (*seeds*)
holds of its images and weights: those with an s say whether others agree.
"""


def page(judged: Sequence[Judged]) -> str:
    """The page in Markdown: a summary, then a table a section of each paper."""
    lines = [INTRODUCTION]
    papers = list(dict.fromkeys(one.claim.paper for one in judged))
    lines += [_row("paper", *WORDS), _row(*["---"] * (1 + len(WORDS)))]
    for paper in papers:
        of_paper = [one.verdict for one in judged if one.claim.paper == paper]
        lines.append(_row(paper, *(str(of_paper.count(word)) for word in WORDS)))
    columns = ("#", "claim", "published", "here", "n", "seeds", "rule", "verdict", "in words")
    for paper in papers:
        lines += ["", f"## {paper}"]
        own = [one for one in judged if one.claim.paper == paper]
        for section in dict.fromkeys(one.claim.section for one in own):
            lines += ["", f"### {section}", "", _row(*columns), _row(*["---"] * len(columns))]
            lines += [_line(one) for one in own if one.claim.section == section]
    return "\n".join(lines) + "\n"


def _line(one: Judged) -> str:
    claim, evidence = one.claim, one.evidence
    here = n = seeds = ""
    if evidence is not None:
        here, n = shown(evidence.estimate), f"{evidence.n:,} {evidence.of}"
        seeds = "" if evidence.seeds is None else str(evidence.seeds)
    first = one.sentence[0]
    words = (first.upper() if first.isascii() else first) + one.sentence[1:]
    if evidence is not None:
        words += f" [Report]({claim.report})"
    rule = "" if claim.rule is None else str(claim.rule)
    return _row(
        claim.number, claim.text, claim.published, here, n, seeds, rule, f"**{one.verdict}**", words
    )


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def write(results: Path, claims: Iterable[Claim] | None = None) -> list[Judged]:
    """Writes ``CLAIMS.md`` in a folder of results, and returns what it says.

    Args:
        results: the folder.
        claims: to judge; those of all suites by default.
    """
    judged = [judge(claim, results) for claim in (every() if claims is None else claims)]
    files.write_text(results / "CLAIMS.md", page(judged))
    return judged
