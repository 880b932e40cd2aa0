"""Whose fault a failure is: the one rule by which a score is stored as failed, or its run ends.

- **The architecture's own** is what a proxy or a space says of it (``NoScore``,
  ``ArchitectureError``), arithmetic that fails, and more time than it was given. It is stored with
  its reason.
- **The run's** is a fault of the environment (no memory, a full disk, a missing device, a package
  that is not there), of the data or the settings, and of the program itself (an unknown name or
  attribute). It ends the run with an error, and nothing of it is stored: what the architecture is
  worth is not known.
- **Anything else** is the architecture's own once another architecture of the run has a score.
  Until then it is held back; where the first ``ALIKE`` fail and none has a score, the run ends.
"""

import enum
from collections import Counter

from nasproxy.errors import ArchitectureError, DivergedError, NasproxyError, ScoringError
from nasproxy.proxies.base import NoScore
from nasproxy.store import Record

ALIKE = 5
"""Failures without a score among them from which on it is no architecture's fault."""
_ENVIRONMENT = (MemoryError, OSError, RecursionError, ImportError)
_PROGRAM = (NameError, AttributeError, SyntaxError, NotImplementedError, AssertionError)
_SIGNS = ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "out of memory", "No space left", "Unable to init")
"""In the texts of XLA's errors, which are of one class."""


class Fault(enum.Enum):
    """Whose it is."""

    ARCHITECTURE = "the architecture's"
    ENVIRONMENT = "the environment's"
    PROGRAM = "the program's"
    UNKNOWN = "not known yet"


class TookTooLong(BaseException):
    """An architecture took more than its time; no Exception, so that no proxy catches it."""


def fault(error: BaseException) -> Fault:
    """Whose fault an error is that scoring an architecture raised."""
    if isinstance(error, NoScore | ArchitectureError | DivergedError | ArithmeticError):
        return Fault.ARCHITECTURE
    if isinstance(error, TookTooLong):
        return Fault.ARCHITECTURE
    if isinstance(error, (NasproxyError, *_PROGRAM)) or not isinstance(error, Exception):
        return Fault.PROGRAM  # Errors of ours say themselves what to do.
    if isinstance(error, _ENVIRONMENT) or any(sign in _text(error) for sign in _SIGNS):
        return Fault.ENVIRONMENT
    return Fault.UNKNOWN


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # One that cannot even be said is nobody's that we know.
        return ""


class Held:
    """Failures of a run that wait until another architecture has a score."""

    def __init__(self, proven: bool) -> None:
        self.proven = proven
        self.records: dict[str, Record] = {}

    def due(self, record: Record, whose: Fault | None) -> list[Record]:
        """What is to be stored, now that a record is there: it, after those that waited; or none.

        Raises:
            ScoringError: so many have failed, and none has a score, that it is the run's fault.
        """
        if record.value is None and whose is not Fault.ARCHITECTURE and not self.proven:
            self.records[record.key.architecture] = record
            if len(self.records) >= ALIKE:
                self.end()
            return []
        waited = []
        if record.value is not None:
            self.proven = True
            waited = [r for k, r in self.records.items() if k != record.key.architecture]
            self.records.clear()
        return [*waited, record]

    def end(self) -> None:
        """Raises ScoringError if failures are left that no score has shown to be architectures'."""
        if not self.records:
            return
        counts = Counter(record.error for record in self.records.values())
        reason, n = counts.most_common(1)[0]
        proxy = next(iter(self.records.values())).key.proxy
        all_of = f"all {n}" if n == len(self.records) else f"{n} of {len(self.records)}"
        raise ScoringError(
            f"{proxy.partition(':')[0]} has scored no architecture: {all_of} that were tried failed"
            f" by {reason}; nothing of it is stored: mend the cause and run again"
        )
