"""The errors that a user can cause, each naming the value, what is accepted and what to do next."""


class NasproxyError(Exception):
    """Base of every error that is the input's fault; the command line prints no traceback."""


class ArchitectureError(NasproxyError, ValueError):
    """An architecture that its search space does not contain."""


class DataError(NasproxyError, ValueError):
    """A data set that cannot be scored on as it is."""


class TruthError(NasproxyError, ValueError):
    """A benchmark table or file that cannot be read or joined."""


class StoreError(NasproxyError, RuntimeError):
    """A store that cannot be used; it is left as it was found."""


class ScoringError(NasproxyError, RuntimeError):
    """What ends a run of scores and is no architecture's fault; what was scored is stored."""


class SettingError(NasproxyError, ValueError):
    """A setting out of its range, or one that does not exist."""


class DependencyError(NasproxyError, ImportError):
    """A package that only some features need, and that is not installed or does not work."""


class DivergedError(NasproxyError, ArithmeticError):
    """An iteration whose loss is no longer finite, or grows where it should fall."""
