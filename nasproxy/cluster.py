"""Work in chunks on other processes: this machine's, any executor's, or a Dask cluster's.

It knows nothing of architectures. A job is pickled once and made ready once in each process that
works on it, ``job.begin()``; what that returns is called with one item after the other. Results
come back to the process that asked for them, and to nobody else.
"""

import contextlib
import math
import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

from nasproxy.checks import Whole, checked
from nasproxy.errors import ScoringError, SettingError

SECONDS = 1.0
"""Work that a chunk holds at least: handing one over costs some milliseconds."""
ATTEMPTS = 3
"""Processes that may die over one chunk, before the run ends."""
_MOST = 1_000  # items of a chunk
_AHEAD = 2  # chunks a process has, so that it never waits for the next
_THREADS = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What XLA, ourselves and BLAS take the number of threads from."""

Workers: TypeAlias = int | Executor | Any
"""A number of processes of this machine, an executor, or a ``dask.distributed.Client``."""


class Job(Protocol):
    """What can be pickled, and made ready in another process."""

    def begin(self) -> Callable[[Any], Any]:
        """From an item to its result; what it raises ends the run."""
        ...


class Done(NamedTuple):
    """The result of an item, by its place in the list."""

    place: int
    result: Any


class Crew:
    """Processes that work on one job after another; made when there is something to do.

    Processes of this machine are spawned, never forked, and compute on one thread each. One that
    dies is replaced, and its chunk is done again by another, up to ``ATTEMPTS`` times.

    Args:
        workers: see ``Workers``.

    Raises:
        SettingError: what is none of these.
    """

    def __init__(self, workers: Workers) -> None:
        if hasattr(workers, "scatter") and hasattr(workers, "submit"):
            self._hands: _Hands = _Dask(workers)
        elif isinstance(workers, Executor):
            self._hands = _Given(workers)
        elif isinstance(workers, str | None):
            raise SettingError(
                f"workers={workers!r}: give a number of processes, an executor of concurrent"
                ".futures, or a dask.distributed.Client"
            )
        else:
            self._hands = _Own(checked("a run", "workers", workers, Whole(hint="processes")))
        self.local = isinstance(self._hands, _Own)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hands.close(cancel=kind is not None)

    def run(self, job: Job, items: Sequence[Any]) -> Iterator[list[Done]]:
        """The results of all items, a chunk at a time, as they come.

        Raises:
            ScoringError: processes died over one chunk again and again, or the executor broke.
            SettingError: a job that cannot be sent.
        """
        if not items:
            return
        self._hands.take(_packed(job))
        queue = _Queue(len(items), self._hands.size)
        pending: dict[Future[Any], _Chunk] = {}
        while queue or pending:
            while queue and len(pending) < _AHEAD * self._hands.size:
                self._hand_out(queue.next(), items, pending, queue)
            if not pending:
                continue  # The last of them died as it was handed a chunk.
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            failure: BaseException | None = None
            for future in sorted(finished, key=lambda future: pending[future].places[0]):
                if future not in pending:
                    continue  # It went with a process that died.
                chunk = pending.pop(future)
                try:
                    answer = future.result()
                except BrokenProcessPool as error:
                    self._replace(error, [chunk], pending, queue)
                    break
                except BrokenExecutor as error:
                    raise ScoringError(f"the executor broke ({error}): give a new one") from error
                if answer is None:  # A process that does not know the job yet.
                    self._hand_out(chunk, items, pending, queue, send=True)
                    continue
                queue.took(len(answer.results), answer.seconds)
                if answer.results:
                    there = chunk.places[: len(answer.results)]
                    yield [Done(*done) for done in zip(there, answer.results, strict=True)]
                failure = failure or answer.error
            if failure is not None:  # After all results that have come with it.
                raise failure

    def _hand_out(
        self,
        chunk: "_Chunk",
        items: Sequence[Any],
        pending: "dict[Future[Any], _Chunk]",
        queue: "_Queue",
        *,
        send: bool = False,
    ) -> None:
        try:
            future = self._hands.submit([items[i] for i in chunk.places], send=send)
        except BrokenProcessPool as error:  # It broke since we last looked.
            self._replace(error, [chunk], pending, queue)
        else:
            pending[future] = chunk

    def _replace(
        self,
        error: BaseException,
        lost: "list[_Chunk]",
        pending: "dict[Future[Any], _Chunk]",
        queue: "_Queue",
    ) -> None:
        """New processes; what they had is handed out again, but for what was done already."""
        for future in list(pending):
            if not future.done() or future.cancelled() or future.exception() is not None:
                lost.append(pending.pop(future))
        self._hands.renew(error)
        queue.again(lost)


class _Chunk(NamedTuple):
    places: Sequence[int]
    attempts: int = 0


class _Queue:
    """What is left to hand out, in chunks of about a second."""

    def __init__(self, n: int, size: int) -> None:
        self._next, self._n, self._size = 0, n, size
        self._again: deque[_Chunk] = deque()
        self._each = math.inf

    def __bool__(self) -> bool:
        return bool(self._again) or self._next < self._n

    def next(self) -> _Chunk:
        if self._again:
            return self._again.popleft()
        share = -(-(self._n - self._next) // (_AHEAD * self._size))  # so that all end together
        count = max(1, min(int(SECONDS / self._each), share, _MOST))
        chunk = _Chunk(range(self._next, min(self._next + count, self._n)))
        self._next += count
        return chunk

    def took(self, items: int, seconds: float) -> None:
        """Learns how long an item takes, the latest counting most."""
        if items:
            each = max(seconds / items, 1e-9)
            self._each = each if math.isinf(self._each) else 0.5 * (self._each + each)

    def again(self, lost: list[_Chunk]) -> None:
        for chunk in lost:
            if chunk.attempts + 1 >= ATTEMPTS:
                raise ScoringError(
                    f"{ATTEMPTS} processes died, one after the other, over the items "
                    f"{chunk.places[0]} to {chunk.places[-1]} of the list (from 0): the machine may"
                    " lack memory for them; use fewer workers, or leave them out"
                )
        # One by one, so that what kills a process takes no others with it the next time.
        self._again.extend(
            _Chunk([place], chunk.attempts + 1) for chunk in lost for place in chunk.places
        )


# What runs in the other processes


@dataclass(frozen=True)
class _Answer:
    results: list[Any]
    seconds: float
    error: BaseException | None = None


_ready: dict[str, Callable[[Any], Any]] = {}
_making = threading.Lock()


def _work(name: str, packed: bytes | str | None, items: list[Any]) -> _Answer | None:
    """Results of some items; None where the job is not known here and does not come with them."""
    with _making:
        if name not in _ready:
            if packed is None:
                return None
            _ready.clear()  # The one before is done; its data takes memory.
            content = Path(packed).read_bytes() if isinstance(packed, str) else packed
            try:
                _ready[name] = pickle.loads(content).begin()
            except BaseException as error:
                return _Answer([], 0.0, _portable(error))
        run = _ready[name]
    start, results = time.perf_counter(), []
    for item in items:
        try:
            results.append(run(item))
        except BaseException as error:
            return _Answer(results, time.perf_counter() - start, _portable(error))
    return _Answer(results, time.perf_counter() - start)


def _portable(error: BaseException) -> BaseException:
    """The error, or its text where it cannot be pickled; its notes come along."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return ScoringError(f"a worker failed by {type(error).__name__}: {error}")
    return error


def _begin_process(parent: int) -> None:
    """An interrupt is the driver's to handle; where the driver died there is nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# Where chunks are handed to


class _Hands(Protocol):
    """One kind of workers.

    Attributes:
        size: how many.
    """

    size: int

    def take(self, packed: bytes) -> None:
        """The job that chunks are of from now on."""
        ...

    def submit(self, items: list[Any], *, send: bool = False) -> Future[Any]:
        """Hands a chunk over; with the job itself to ``send`` it where it was not known."""
        ...

    def renew(self, error: BaseException) -> None:
        """New processes in place of those that died."""
        ...

    def close(self, *, cancel: bool) -> None: ...


class _Own:
    """Processes of this machine."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool: ProcessPoolExecutor | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="nasproxy-")
        self._stack = contextlib.ExitStack()
        self._made: set[Any] = set()
        self._name, self._path = "", ""

    def take(self, packed: bytes) -> None:
        if self._path:
            os.unlink(self._path)
        self._name = uuid.uuid4().hex
        self._path = str(Path(self._folder.name) / self._name)
        Path(self._path).write_bytes(packed)

    def submit(self, items: list[Any], *, send: bool = False) -> Future[Any]:
        if self._pool is None:
            self._stack.enter_context(_one_thread())  # Processes are made as chunks are handed out.
            self._pool = ProcessPoolExecutor(
                self.size,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin_process,
                initargs=(os.getpid(),),
            )
        future = self._pool.submit(_work, self._name, self._path, items)
        self._made.update((self._pool._processes or {}).values())
        return future

    def renew(self, error: BaseException) -> None:
        assert self._pool is not None
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None
        self._end()

    def _end(self) -> None:
        """Ends what a pool left behind: one that breaks as it grows forgets its youngest."""
        for process in self._made:
            process.kill()
        self._made.clear()

    def close(self, *, cancel: bool) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=not cancel, cancel_futures=True)
            self._end()
        self._stack.close()
        self._folder.cleanup()


class _Given:
    """An executor of somebody's; the job is sent to processes that say they do not know it."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.size = getattr(executor, "_max_workers", None) or os.cpu_count() or 1
        self._name, self._packed = "", b""

    def take(self, packed: bytes) -> None:
        self._name, self._packed = uuid.uuid4().hex, packed

    def submit(self, items: list[Any], *, send: bool = False) -> Future[Any]:
        return self._executor.submit(_work, self._name, self._packed if send else None, items)

    def renew(self, error: BaseException) -> None:
        raise ScoringError(f"a process of the executor died ({error}): give a new executor")

    def close(self, *, cancel: bool) -> None:
        """It is its owner's."""


class _Dask:
    """A Dask cluster, which does a dead worker's chunks again itself."""

    def __init__(self, client: Any) -> None:
        self._client, self._name, self._job = client, "", None
        self.size = max(1, sum(client.nthreads().values()))

    def take(self, packed: bytes) -> None:
        self._name = uuid.uuid4().hex
        self._job = self._client.scatter(packed, broadcast=True, hash=False)

    def submit(self, items: list[Any], *, send: bool = False) -> Future[Any]:
        remote = self._client.submit(_work, self._name, self._job, items, pure=False)
        local: Future[Any] = Future()

        def report(finished: Any) -> None:
            error = finished.exception() if finished.status == "error" else None
            if finished.status == "finished":
                local.set_result(finished.result())
            else:
                local.set_exception(
                    ScoringError(f"the cluster gave up a chunk ({finished.status}: {error})")
                )

        remote.add_done_callback(report)
        return local

    def renew(self, error: BaseException) -> None:
        raise ScoringError(f"the cluster broke: {error}") from error

    def close(self, *, cancel: bool) -> None:
        """The client is its owner's."""


def _packed(job: Job) -> bytes:
    try:
        return pickle.dumps(job)
    except Exception as error:
        raise SettingError(
            f"{type(job).__name__} cannot be sent to other processes ({error}): define proxies, "
            "spaces and data loaders in a module, not in a notebook's cell or a function"
        ) from error


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """The environment of processes that compute on one thread each."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
