"""Claims of reports, as the reports have them."""

from pathlib import Path

import pytest

from nasproxy.errors import SettingError
from nasproxy.page import Claim, read_claims
from tests.conftest import ROOT

REPORT = "# A title\n\n**The paper's claim.** It ranks.\n\n**Here.** Undecided.\n\n| a |\n"


def test_reports_of_a_folder_are_read_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text(REPORT.replace("title", name))
    (tmp_path / "README.md").write_text("# An index\n")
    found = read_claims(tmp_path)
    assert found == [Claim(f"A {name}", "It ranks.", "Undecided.") for name in ("a", "b")]
    assert read_claims(tmp_path / "a") == found[:1]


def test_a_folder_without_reports_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no report of a claim"):
        read_claims(tmp_path)
    with pytest.raises(SettingError, match="no report of a claim"):
        read_claims(tmp_path / "nowhere")


def test_what_reproduce_wrote_is_read() -> None:
    found = read_claims(ROOT / "results" / "nngp_nas")
    assert len(found) > 5
    assert all(all(claim) for claim in found)
