"""The scatter plot and the table of a page, by Bokeh, linked by one source; filled by page.js."""

from typing import Any

from nasproxy.errors import DependencyError

COLUMNS = ("x", "y", "c", "key")
"""Of the source: what is on the axes and the colours, and the architecture."""


def models() -> tuple[list[Any], list[str], list[str]]:
    """The plot and the table, as JSON for BokehJS, and BokehJS itself.

    No callback is part of them: Bokeh's would be run as code that stands in data, which the page's
    policy forbids. page.js finds the models by their names and listens to them.

    Returns:
        [documents, where each root goes]; and BokehJS, as scripts.

    Raises:
        DependencyError: Bokeh is not installed.
    """
    try:
        from bokeh.document import Document
        from bokeh.embed.util import standalone_docs_json_and_render_items
        from bokeh.resources import Resources
    except ImportError as error:
        raise DependencyError(
            f"a page needs Bokeh ({error}): pip install 'nasproxy[page]'"
        ) from error
    from bokeh.models import CDSView, ColumnDataSource, IndexFilter

    source = ColumnDataSource({name: [] for name in COLUMNS}, name="points")
    view = CDSView(filter=IndexFilter(indices=[], name="kept"))
    roots = [_plot(source, view), _table(source, view)]
    document = Document()
    for root in roots:
        document.add_root(root)
    documents, items = standalone_docs_json_and_render_items(document)
    (item,) = [found.to_json() for found in items]
    places = dict(zip((root.id for root in roots), ("plot", "table"), strict=True))
    item["roots"] = {root: places[root] for root in item["roots"]}
    components: list[Any] = ["bokeh", "bokeh-widgets", "bokeh-tables"]
    scripts = Resources(mode="inline", components=components, minified=True, log_level="warn")
    return [documents, [item]], scripts.js_raw, list(item["roots"])


def _plot(source: Any, view: Any) -> Any:
    from bokeh.models import (
        ColorBar,
        HoverTool,
        LinearColorMapper,
        NumeralTickFormatter,
        Range1d,
    )
    from bokeh.plotting import figure

    short = NumeralTickFormatter(format="0.[0000]a")  # 1.2m
    mapper = LinearColorMapper(
        palette="Cividis256", name="colours", nan_color="#b5b5b5", low=0, high=1
    )
    plot = figure(
        sizing_mode="stretch_both",
        x_range=Range1d(start=0, end=1),  # page.js knows the numbers
        y_range=Range1d(start=0, end=1),
        min_width=200,
        tools="box_select,lasso_select,tap,wheel_zoom,pan,reset,save",
        active_drag="box_select",
        active_tap="tap",
        toolbar_location="above",
        name="figure",
    )
    plot.toolbar.logo = None
    # A colour says nothing that hover and table do not.
    dots = plot.scatter(
        "x",
        "y",
        source=source,
        size=6,
        line_color=None,
        fill_color={"field": "c", "transform": mapper},
        fill_alpha=0.65,
        nonselection_fill_alpha=0.08,
        selection_line_color="#1b1b1b",
        view=view,
    )
    plot.add_tools(HoverTool(renderers=[dots], name="hover", tooltips=[("", "@key")]))
    for axis in (plot.xaxis[0], plot.yaxis[0]):
        axis.formatter = short
        axis.axis_label_text_font_style = "normal"
    plot.grid.grid_line_alpha = 0.5
    plot.outline_line_color = None
    bar = ColorBar(
        color_mapper=mapper,
        name="bar",
        height=8,
        padding=4,
        title="",
        formatter=short,
        title_text_font_style="normal",
        orientation="horizontal",
    )
    plot.add_layout(bar, "below")
    return plot


def _table(source: Any, view: Any) -> Any:
    from bokeh.models import DataTable, NumberFormatter, StringFormatter, TableColumn

    number = NumberFormatter(format="0,0.[000000]", nan_format="–", text_align="right")
    columns = [
        TableColumn(field="key", title="architecture", formatter=StringFormatter(), width=230),
        *(TableColumn(field=name, title=name, formatter=number, width=130) for name in "xyc"),
    ]
    return DataTable(
        name="rows",
        source=source,
        columns=columns,
        sizing_mode="stretch_both",
        index_position=None,
        reorderable=False,
        selectable=True,
        fit_columns=True,
        view=view,
    )
