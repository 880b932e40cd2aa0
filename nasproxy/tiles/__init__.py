"""Kernels beyond memory: tiles on disk, computed by any number of processes and machines."""

from nasproxy.tiles.stored import Damage, Status, Tiles

__all__ = ["Damage", "Status", "Tiles"]
