"""From options to architectures and shards."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nasproxy.errors import DependencyError, SettingError

_ANSWER_SECONDS = 10


def architectures_of(
    space: Any,
    sample: int | None,
    path: Path | None,
    grid: list[str] | None,
    sampler: str | None,
    seed: int,
    sample_seed: int | None = None,
) -> tuple[list[Any], str]:
    """Architectures, and how they were drawn, for tables to state.

    ``seed`` is of the scores, and of the sample unless ``sample_seed`` is given.
    """
    from nasproxy.architectures import read_architectures

    if sample_seed is not None and sample is None:
        raise SettingError(f"--sample-seed {sample_seed} draws nothing: give --sample N too")
    seed = seed if sample_seed is None else sample_seed
    if grid is not None:
        if (sample, path, sampler) != (None, None, None):
            raise SettingError("--grid names every architecture: leave out the other ways")
        return _grid(space, grid), f"grid {' '.join(grid)}"
    if path is not None:
        if sampler is not None:
            raise SettingError(
                "--sampler draws from the space; a file is read or drawn from evenly"
            )
        found = read_architectures(path, space)
        if sample is None:
            return found, f"file {path.name}"
        if not 0 <= sample <= len(found):
            raise SettingError(f"--sample {sample}: {path} holds {len(found)} architectures")
        import numpy as np

        chosen = np.random.default_rng(seed).choice(len(found), sample, replace=False)
        return [found[i] for i in chosen], f"file {path.name}, n={sample}, seed={seed}"
    if sample is None:
        raise SettingError("give --sample N, --architectures FILE (or both), or --grid AXIS=VALUES")
    sampler = sampler or space.samplers[0]
    return space.sample(sample, seed, sampler), f"{sampler}, n={sample}, seed={seed}"


def _grid(space: Any, axes: list[str]) -> list[Any]:
    from nasproxy.settings import parse_settings

    if not hasattr(space, "grid"):
        raise SettingError(f"{space.name} has no grid: give --sample N or --architectures FILE")
    # Written as a setting, but for the commas.
    parsed = [parse_settings(f"grid:{axis.strip().replace(',', '/')}")[1] for axis in axes]
    values = {axis: values for one in parsed for axis, values in one.items()}
    if len(values) < len(axes):
        raise SettingError(f"--grid {' '.join(axes)}: give each axis once, as depth=1,2,5")
    return space.grid(**{a: v if isinstance(v, tuple) else (v,) for a, v in values.items()})


def seeds_of(seed: int | None, seeds: str | None) -> int | tuple[int, ...]:
    """``--seed N`` or ``--seeds N,N,…``; 0 without either.

    Raises:
        SettingError: both, or a text that lists no seeds.
    """
    if seeds is None:
        return 0 if seed is None else seed
    if seed is not None:
        raise SettingError(f"--seed {seed} and --seeds {seeds}: give one of them")
    parts = [part.strip() for part in seeds.split(",")]
    if not all(part.isdecimal() and len(part) < 20 for part in parts):
        raise SettingError(f"--seeds {seeds!r:.80}: give whole numbers from 0, such as 0,1,2")
    return tuple(map(int, parts))


def size_of(text: str) -> tuple[float, float]:
    """``WIDTHxHEIGHT``; raises SettingError for anything else."""
    parts = text.lower().replace("×", "x").split("x")
    try:
        width, height = map(float, parts)
    except ValueError:
        raise SettingError(f"size {text!r}: give WIDTHxHEIGHT in inches, as 6.75x2.5") from None
    return width, height


def where_of(given: list[str] | None) -> dict[str, str]:
    """``COLUMN=VALUE`` of several options."""
    chosen: dict[str, str] = {}
    for text in given or []:
        column, equals, value = text.partition("=")
        if not (column and equals):
            raise SettingError(f"--where {text!r}: write COLUMN=VALUE, such as dataset=cifar10")
        if column in chosen:
            raise SettingError(f"--where {column} is given twice: give each column once")
        chosen[column] = value
    return chosen


def shard_of(text: str) -> tuple[int, int]:
    """``I/N``."""
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise SettingError(f"shard {text!r}: give I/N with I from 0 to N−1, such as 0/4")
    return int(index), int(count)


@contextmanager
def workers_of(count: int | None, address: str | None) -> Iterator[Any]:
    """What ``--workers`` or ``--cluster`` names, closed at the end.

    Raises:
        SettingError: both, or a scheduler that does not answer.
        DependencyError: Dask is not installed.
    """
    if address is None:
        yield count
        return
    if count is not None:
        raise SettingError("--workers are this machine's and --cluster's are another's: give one")
    try:
        from distributed import Client
    except ImportError as error:
        raise DependencyError(
            f"--cluster needs Dask ({error}): pip install 'nasproxy[cluster]'"
        ) from error
    try:
        client = Client(address, timeout=_ANSWER_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise SettingError(
            f"--cluster {address}: no scheduler answers there ({error}); start one by dask "
            "scheduler, and workers by dask worker ADDRESS"
        ) from error
    with client:
        if not client.nthreads():
            raise SettingError(
                f"--cluster {address} has no workers: start some by dask worker {address}"
            )
        yield client
