"""Figures that a notebook shows by themselves."""

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A figure of matplotlib's, shown as a picture where it is a cell's last value.

    Figures that pyplot does not make are shown as text only; pyplot has state of its own, which a
    library leaves alone.
    """

    def _repr_png_(self) -> bytes:
        """As IPython asks for it."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=110)
        return file.getvalue()
