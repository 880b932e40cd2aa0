"""Published truth: tables of accuracies, and the official file of NAS-Bench-101."""

from nasproxy.truth.tables import (
    check_table,
    join,
    known,
    parse_spec,
    read,
    read_keys,
    write_table,
)

__all__ = ["check_table", "join", "known", "parse_spec", "read", "read_keys", "write_table"]
