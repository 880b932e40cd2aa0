"""Sphinx: MyST pages, one notebook that runs, the interface from docstrings.

``make docs`` builds ``docs/_build/html``; a warning is an error. Tables of what there is, and the
gallery, are made from registries and ``results/`` by :mod:`generated` before pages are read.
"""

import os
import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

import generated  # noqa: E402

generated.write(DOCS)

project = "nasproxy"
author = "The nasproxy developers"
release = version = version_of("nasproxy")
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_generated"]
templates_path: list[str] = []
nitpicky = False
highlight_language = "none"  # of fences that name none: commands

html_theme = "furo"
html_title = f"nasproxy {release}"
html_static_path = ["_static"]
html_css_files = ["nasproxy.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
suppress_warnings = ["mystnb.unknown_mime_type"]

# The tour runs at every build, in a folder of its own: a store that is there already would hide
# what a first run looks like.
nb_execution_mode = "force"
nb_execution_timeout = 1800  # of a cell, on a machine that others use too
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_merge_streams = True
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # jaxtyping's shapes are unreadable once resolved; docstrings say them
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
copybutton_exclude = ".linenos, .gp, .go"

_LITERAL = re.compile(r"(``.*?``|`[^`]*`)")


def _plainly(_app: Any, _what: Any, _name: Any, _object: Any, _options: Any, lines: list) -> None:
    """Docstrings are text: ``|g|`` is a norm, and ``history_`` an attribute."""
    for place, line in enumerate(lines):
        parts = _LITERAL.split(line)
        for i in range(0, len(parts), 2):
            text = re.sub(r"(?<!\\)\|", r"\|", parts[i])
            parts[i] = re.sub(r"(?<=[a-z])(?<!\\)_(?![\w_])", r"\_", text)
        lines[place] = "".join(parts)


def _left_out(_app: Any, _what: Any, name: str, _object: Any, skip: bool, _options: Any) -> bool:
    """What scikit-learn gives every estimator is scikit-learn's to explain."""
    return skip or bool(re.fullmatch(r"set_\w+_request|get_metadata_routing", name))


def setup(app: Any) -> None:
    """Connects the two above; the first after Napoleon has read the docstring."""
    app.connect("autodoc-process-docstring", _plainly, priority=900)
    app.connect("autodoc-skip-member", _left_out)
