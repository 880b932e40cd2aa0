"""The work of several proxies that share passes: each architecture is visited once for all."""

import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any

from nasproxy.cluster import Crew
from nasproxy.progress import bar
from nasproxy.proxies.base import Proxy, on_width
from nasproxy.proxies.passes import OfPasses
from nasproxy.scoring.evaluation import Evaluations, Together
from nasproxy.scoring.session import Session
from nasproxy.settings import describe
from nasproxy.space import SearchSpace


def groups(proxies: Sequence[Proxy], space: SearchSpace[Any]) -> list[list[int]]:
    """Places of proxies that are scored together, the others alone, in the order of the first."""
    found: dict[Any, list[int]] = {}
    for place, proxy in enumerate(proxies):
        key: Any = place
        if isinstance(proxy, OfPasses):
            _, at_width = on_width(proxy, space)
            key = describe(at_width, at_width.name, full=True)
        found.setdefault(key, []).append(place)
    return list(found.values())


def run_together(
    keyed: dict[str, Any],
    sessions: Sequence[Sequence[Session]],
    crew: Crew | None,
    progress: bool,
    name: str,
) -> None:
    """Computes what is missing, an architecture by all proxies before the next.

    Args:
        keyed: architectures by key.
        sessions: for each seed, those of the proxies.
        crew, progress, name: as for :func:`nasproxy.scoring.sharing.run`.
    """
    keys = list(keyed)
    left = [_left(keyed, own) for own in sessions]
    total = len(keys) * sum(map(len, sessions))
    missing = sum(len(places) for items in left for _, places in items)
    with bar(name, total, total - missing, shown=progress) as advance:
        due = [(own, items) for own, items in zip(sessions, left, strict=True) if items]
        if crew is None:
            for own, items in due:
                _in_turn(items, own, advance)
        elif due:
            jobs = tuple(_together(own) for own, _ in due)
            every = [(place, one) for place, (_, items) in enumerate(due) for one in items]
            for chunk in crew.run(Evaluations(jobs), every):
                for done in chunk:
                    seed, (_, places) = every[done.place]
                    _keep(due[seed][0], places, done.result)
                    for _ in places:
                        advance()
    for own in sessions:
        for session in own:
            session.finish()


def _left(keyed: dict[str, Any], sessions: Sequence[Session]) -> list[tuple[Any, tuple[int, ...]]]:
    """Architectures with the places of the proxies that lack them."""
    known = [session.known(list(keyed)) for session in sessions]
    lacking = {
        key: tuple(place for place, own in enumerate(known) if key not in own) for key in keyed
    }
    return [(keyed[key], places) for key, places in lacking.items() if places]


def _together(sessions: Sequence[Session]) -> Together:
    return Together(tuple(session.evaluation for session in sessions))


def _keep(sessions: Sequence[Session], places: Sequence[int], outcomes: Sequence[Any]) -> None:
    with contextlib.ExitStack() as every:  # Each keeps its own, whatever another raises.
        for place, outcome in zip(places, outcomes, strict=True):
            every.callback(sessions[place].keep, [outcome])


def _in_turn(
    left: Sequence[tuple[Any, tuple[int, ...]]],
    sessions: Sequence[Session],
    advance: Callable[[], None],
) -> None:
    """One after the other; where another process has been, on at a place drawn at random."""
    evaluate = _together(sessions).begin()
    space = sessions[0].evaluation.space
    done, at, rng = bytearray(len(left)), 0, random.Random()
    for _ in left:
        at = done.find(0, at)
        at = done.find(0) if at < 0 else at
        architecture, places = left[at]
        key = space.key(architecture)
        lacking = tuple(place for place in places if key not in sessions[place].known([key]))
        if lacking:
            _keep(sessions, lacking, evaluate((architecture, lacking)))
        done[at] = 1
        at = at + 1 if lacking == places else rng.randrange(len(left))
        for _ in places:
            advance()
