"""Records to store."""

from typing import Any

from nasproxy.store import Key, Record


def make(architecture: str = "a", value: Any = 0.5, **changes: Any) -> Record:
    """A record, failed where ``value`` is None; ``changes`` are fields of it or of its key."""
    key = {"space": "s", "proxy": "p", "data": "digits@1", "seed": 0}
    key |= {name: changes.pop(name) for name in list(changes) if name in key}
    fields = {"seconds": 0.25, "flops": 1e9, "info": {"epsilon": 0.1, "curve": [1, 2.5]}}
    fields |= {"error": "diverged" if value is None else None, "architecture_json": "{}"}
    return Record(Key(architecture=architecture, **key), value, **(fields | changes))
