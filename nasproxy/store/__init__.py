"""Where scores are kept, and the columns that they are read back as."""

from nasproxy.store.database import Group, Key, Record, Store

__all__ = ["Group", "Key", "Record", "Store"]
