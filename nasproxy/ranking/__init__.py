"""How well scores rank architectures: the table, what it is against, its text and its figure."""

from nasproxy.ranking.hybrid import hybrid_store
from nasproxy.ranking.rendering import render, render_hybrid
from nasproxy.ranking.table import Ranking, plot_store, rank, rank_store

__all__ = [
    "Ranking",
    "hybrid_store",
    "plot_store",
    "rank",
    "rank_store",
    "render",
    "render_hybrid",
]
