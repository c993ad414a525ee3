"""Sphinx's settings for `make docs`; `scripts/docs_site.py` stages the pages that it reads."""

import tomllib
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]

project = next(line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("# "))[
    2:
]
author = tomllib.loads((ROOT / "site.toml").read_text(encoding="utf-8")).get("name", "")
project_copyright = author
html_title = project
html_theme = "furo"
# The colors and fonts of the services' own pages: shared/.../serving/static/style.css.
SANS = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b5c7a",
        "color-brand-content": "#0b5c7a",
        "color-brand-visited": "#0b5c7a",
        "color-background-secondary": "#fbfaf6",
        "font-stack": SANS,
    },
    "dark_css_variables": {
        "color-brand-primary": "#84c6dd",
        "color-brand-content": "#84c6dd",
        "color-brand-visited": "#84c6dd",
        "color-background-primary": "#16181a",
        "color-background-secondary": "#1f2225",
    },
    "navigation_with_keys": True,
}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = ""
highlight_language = "none"  # a fence without a language is no Python
pygments_style, pygments_dark_style = "friendly", "github-dark"
extensions = ["myst_parser", "autoapi.extension", "sphinx.ext.napoleon", "sphinx_design", "sphinx_copybutton"]
exclude_patterns = ["Thumbs.db"]

# Markdown as GitHub reads it.
myst_enable_extensions = ["colon_fence", "html_image", "tasklist"]
myst_disable_syntax = ["myst_line_comment", "myst_block_break", "myst_target", "myst_role"]
myst_heading_anchors = 6
suppress_warnings = [
    "myst.header",  # a glossary's terms are small headings
    "autoapi.python_import_resolution",  # constants without a description are not listed
    "ref.python",  # two modules have a Shadow each: a type is named, and not linked
]
copybutton_exclude = ".linenos, .gp, .go"

# The reference is read from the sources: nothing of ours is imported, and nothing that it needs is installed.
autoapi_dirs = [str(ROOT / "shared/src/portfolio_shared")]
autoapi_root = "api"
autoapi_add_toctree_entry = False
autoapi_own_page_level = "module"
autoapi_options = ["members", "undoc-members", "show-module-summary"]
autoapi_member_order = "groupwise"
autoapi_keep_files = False
default_role = "code"
python_use_unqualified_type_names = True
napoleon_google_docstring = False
napoleon_use_ivar = True  # a class has its attributes in one list, as its docstring does


def setup(app: Sphinx) -> None:
    """Leave out constants without a description, and the attributes of a class, which its docstring lists."""

    def skip(_: Sphinx, what: str, __: str, documented: Any, skipped: bool, ___: object) -> bool:  # noqa: FBT001
        return skipped or (what in ("attribute", "data") and not documented.docstring)

    app.connect("autoapi-skip-member", skip)
