"""The setting of the table, taken by the rule of :mod:`.choose`."""

from pathlib import Path

from nasproxy_experiments.nasbench101_space.family import Family

POOL = 2
PROXY = Family(POOL, 16, 32, (700,), (1,)).proxy(700, 1)
OUT = Path("results/nasbench101_space")
