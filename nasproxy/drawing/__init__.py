"""Architectures as SVG, in pure Python: graphs, rows of blocks, bars, text, and sheets of these.

What is drawn is the space's to say: see :class:`nasproxy.space.Drawable`. Every label is escaped.
"""

from nasproxy.drawing.bars import bars
from nasproxy.drawing.dag import Vertex, dag
from nasproxy.drawing.rows import Block, Row, rows
from nasproxy.drawing.sheet import sheet
from nasproxy.drawing.style import KINDS
from nasproxy.drawing.svg import Drawing
from nasproxy.drawing.text import text

__all__ = ["KINDS", "Block", "Drawing", "Row", "Vertex", "bars", "dag", "rows", "sheet", "text"]
