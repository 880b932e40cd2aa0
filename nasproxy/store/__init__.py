"""Where scores are kept, and the columns that they are read back as."""

from nasproxy.store.database import Group, Store
from nasproxy.store.rows import Key, Record

__all__ = ["Group", "Key", "Record", "Store"]
