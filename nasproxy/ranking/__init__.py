"""How well scores rank architectures: the table, what it is against, its text and its figures."""

from nasproxy.ranking.best import draw_store
from nasproxy.ranking.figure import plot_store
from nasproxy.ranking.hybrid import hybrid_store
from nasproxy.ranking.rendering import render, render_hybrid
from nasproxy.ranking.table import Ranking, rank, rank_store

__all__ = [
    "Ranking",
    "draw_store",
    "hybrid_store",
    "plot_store",
    "rank",
    "rank_store",
    "render",
    "render_hybrid",
]
