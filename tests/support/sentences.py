"""What the sentences that open a report have to be."""

import re

MOST = 2
"""Intervals of a sentence."""


def plain(verdict: str) -> None:
    """Each sentence has few enough intervals to be read."""
    for sentence in re.split(r"(?<=[^\s.]\.)\s+(?=\S)", verdict):
        intervals = re.findall(r"\[[^\[\]]*,[^\[\]]*\]", sentence)
        assert len(intervals) <= MOST, sentence
