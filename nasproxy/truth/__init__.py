"""Published truth: tables of accuracies, and the official file of NAS-Bench-101."""

from nasproxy.truth.tables import join, known, parse_spec, read, read_keys, write_table

__all__ = ["join", "known", "parse_spec", "read", "read_keys", "write_table"]
