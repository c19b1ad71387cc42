"""The documentation's site: `make docs`."""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ["PYTHONPATH"] = os.pathsep.join(  # of notebooks
    filter(None, [os.environ.get("PYTHONPATH"), str(HERE.parent)])
)

import generate  # noqa: E402

project = "autolip"
author = "autolip developers"
copyright = "autolip developers, Apache-2.0"
version = release = version_of("autolip")

extensions = ["myst_nb", "sphinx.ext.autodoc"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"autolip {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]

nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_render_markdown_format = "myst"

autodoc_typehints = "none"
autodoc_member_order = "bysource"
nitpicky = False

generate.write_all()


def _source(app: Any, name: str, source: list[str]) -> None:
    page = Path(app.srcdir) / f"{name}.md"
    if page.exists():
        source[0] = generate.linked(source[0], page)


def _docstring(app: Any, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    lines[:] = generate.as_rst(lines)


def setup(app: Any) -> None:
    """What the program says of itself, and links out of the folder."""
    app.connect("source-read", _source)
    app.connect("autodoc-process-docstring", _docstring)
