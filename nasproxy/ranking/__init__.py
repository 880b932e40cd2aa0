"""How well scores rank architectures: the table, what it is against, its text and its figure."""

from nasproxy.ranking.rendering import render
from nasproxy.ranking.table import Ranking, plot_store, rank, rank_store

__all__ = ["Ranking", "plot_store", "rank", "rank_store", "render"]
