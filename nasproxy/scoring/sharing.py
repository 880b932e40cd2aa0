"""The work of one proxy at all seeds: done here in turn, or shared out to workers."""

import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any

from nasproxy.cluster import Crew
from nasproxy.progress import bar
from nasproxy.scoring.evaluation import Evaluations
from nasproxy.scoring.session import Session

_log = logging.getLogger(__name__)


def run(
    keyed: dict[str, Any], sessions: Sequence[Session], crew: Crew | None, progress: bool, name: str
) -> None:
    """Computes what is missing.

    Args:
        keyed: architectures by key.
        sessions: of one proxy, a seed each.
        crew: who shares the work; None for this process alone.
        progress: show a bar.
        name: of the proxy, for the bar.
    """
    first, keys = sessions[0], list(keyed)
    stored = sum(len(session.known(keys)) for session in sessions)
    total = len(keys) * len(sessions)
    _log.info("%s: %d of %d scores are stored already", name, stored, total)
    proxy = first.evaluation.proxy
    alone = crew is None or (crew.local and hasattr(proxy, "machine"))
    with bar(name, total, stored, shown=progress) as advance:
        if getattr(proxy, "seeded", True):
            _compute(keyed, sessions, None if alone else crew, advance)
            return
        # One seed's scores are every seed's: they are copied, whichever of them has them.
        _copy(keys, first, sessions[1:], advance)
        _compute(keyed, [first], None if alone else crew, advance)
        for session in sessions[1:]:
            _copy(keys, session, [first], advance)


def _copy(
    keys: list[str], session: Session, others: Sequence[Session], advance: Callable[[], None]
) -> None:
    """Gives a session what it lacks and another has."""
    for other in others:
        there = session.known(keys)
        lacking = [key for key in keys if key not in there]
        known = other.known(lacking)
        copied = [key for key in lacking if key in known]
        session.copy(other, copied)
        for _ in copied:
            advance()


def _compute(
    keyed: dict[str, Any],
    sessions: Sequence[Session],
    crew: Crew | None,
    advance: Callable[[], None],
) -> None:
    left = []
    for session in sessions:
        known = session.known(list(keyed))
        left.append((session, [one for key, one in keyed.items() if key not in known]))
    left = [(session, architectures) for session, architectures in left if architectures]
    if crew is None:
        for session, architectures in left:
            _in_turn(architectures, session, advance)
            session.finish()
    elif left:
        job = Evaluations(tuple(session.evaluation for session, _ in left))
        items = [(place, one) for place, (_, own) in enumerate(left) for one in own]
        for chunk in crew.run(job, items):
            with contextlib.ExitStack() as every:  # Each keeps its own, whatever another raises.
                for place, (session, _) in enumerate(left):
                    own = [done.result for done in chunk if items[done.place][0] == place]
                    every.callback(session.keep, own)
            for _ in chunk:
                advance()
    for session in sessions:
        session.finish()


def _in_turn(left: Sequence[Any], session: Session, advance: Callable[[], None]) -> None:
    """One after the other, in the order given unless others are there.

    Where another process has been, it goes on at a place drawn at random: two that ran side by side
    would meet at every architecture, and compute each twice.
    """
    done, place, rng = bytearray(len(left)), 0, random.Random()
    for _ in left:
        place = done.find(0, place)
        place = done.find(0) if place < 0 else place
        _, alone = session.shared(left[place])
        done[place] = 1
        place = place + 1 if alone else rng.randrange(len(left))
        advance()
