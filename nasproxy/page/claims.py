"""What a suite's reports say of a paper's claims, to stand on a page beside the ranking."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from nasproxy.errors import SettingError
from nasproxy.reproduce.suites import HERE

_CLAIM = "**The paper's claim.**"


class Claim(NamedTuple):
    """One report: its title, what the paper says, and what was found here."""

    title: str
    claim: str
    found: str


def read_claims(folder: str | os.PathLike[str]) -> list[Claim]:
    """The claims of the reports in a folder that ``nasproxy reproduce`` wrote, by folder's name.

    Args:
        folder: of a suite, with a folder an experiment; or of one experiment.

    Raises:
        SettingError: there is no such folder, or no report in it.
    """
    folder = Path(folder)
    reports = sorted({*folder.glob("README.md"), *folder.glob("*/README.md")})
    found = [c for c in (_read(path.read_text(encoding="utf-8")) for path in reports) if c]
    if not found:
        raise SettingError(
            f"{folder} holds no report of a claim: give a folder that nasproxy reproduce wrote, "
            "such as results/nngp_nas"
        )
    return found


def _read(text: str) -> Claim | None:
    paragraphs = {
        start: line.removeprefix(start).strip()
        for line in text.splitlines()
        for start in (_CLAIM, HERE)
        if line.startswith(start)
    }
    title = re.match(r"# (.+)", text)
    if title is None or paragraphs.keys() != {_CLAIM, HERE}:
        return None
    return Claim(title[1].strip(), paragraphs[_CLAIM], paragraphs[HERE])
