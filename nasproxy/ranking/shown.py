"""The ranking table as a notebook shows it."""

import pandas as pd

from nasproxy.ranking import rendering


class RankingTable(pd.DataFrame):
    """A ranking's rows, shown in a notebook as ``nasproxy rank`` prints them.

    Parts of it, and what is made of it, are ordinary tables.
    """

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def _repr_html_(self) -> str:
        """The text of :func:`nasproxy.ranking.render`, with its notes."""
        return rendering.render(self, "html")
