"""Progress in a file: a plain line now and then, and how far it came."""

import time

import pytest

from nasproxy.progress import SECONDS, bar, fraction


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_lines_are_plain_and_rare(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with bar("nngp", 2_000, 1_900) as advance:
        for _ in range(100):
            clock[0] += 1.0
            advance()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "nngp: 1,930/2,000, 30 s",
        "nngp: 1,960/2,000, 60 s",
        "nngp: 1,990/2,000, 90 s",
        "nngp: 2,000/2,000, 100 s",
    ]


def test_a_part_is_said_in_percent(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with fraction("reading") as update:
        update(0.1)
        clock[0] += SECONDS
        update(0.5)
        update(1.0)
    assert capsys.readouterr().err.splitlines() == ["reading: 50%, 30 s", "reading: 100%, 30 s"]


def test_what_stops_says_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> None:
        with bar("nngp", 10) as advance:
            advance()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert capsys.readouterr().err == "nngp: 1/10, 0 s\n"


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("nngp", 1, shown=False) as advance:
        advance()
    assert capsys.readouterr().err == ""
