"""How well scores rank architectures: the table, what it is against, its text and its figure."""

from nasproxy.ranking.rendering import plain, render
from nasproxy.ranking.screening import hybrid, reduction
from nasproxy.ranking.table import Beside, Ranking, plot_store, rank, rank_store

__all__ = [
    "Beside",
    "Ranking",
    "hybrid",
    "plain",
    "plot_store",
    "rank",
    "rank_store",
    "reduction",
    "render",
]
