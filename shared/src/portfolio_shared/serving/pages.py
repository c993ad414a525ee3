"""Pages for people: the project's page at /, its files, the shared style, and /docs. Nothing comes from elsewhere.

All addresses are relative, so that a proxy may put the service below a prefix and tell nobody. The query of a page is
its own: a link to it may carry any parameter.
"""

import hashlib
import html
import importlib.util
import json
import re
from pathlib import Path
from string import Template

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from portfolio_shared.serving.demos import StartPage, navigation

_STATIC = Path(__file__).parent / "static"
_REVALIDATE = "no-cache"  # keep it, but ask each time whether it is still the same: a 304 is a few bytes
_ONE_DAY = "public, max-age=86400"
_DEMOS = "<!-- demos -->"  # where the links to the other demos stand in page.html
_SLOT = re.compile(r"^<!-- slot: (\w+) -->$", re.MULTILINE)
_OPTIONAL = "sample_notice"  # a project whose sample is all of its data has nothing to say there

_DOCS_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: API</title>
<link rel="stylesheet" href="./docs/assets/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="swagger-ui"></div>
<script src="./docs/assets/swagger-ui-bundle.js"></script>
<script src="./docs/start.js"></script>
</body>
</html>
"""
# A file of its own, because the content security policy allows no inline script.
_DOCS_SCRIPT = (
    f"SwaggerUIBundle({json.dumps({'url': './openapi.json', 'dom_id': '#swagger-ui', 'deepLinking': True})});"
)


class CachedFiles(StaticFiles):
    """Static files with an ETag (Starlette's) and a Cache-Control header, which 304 responses carry too."""

    def __init__(self, directory: Path, *, cache_control: str) -> None:
        super().__init__(directory=directory)
        self._cache_control = cache_control

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Find the file and add the header."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = self._cache_control
        return response


def add_pages(app: FastAPI, web: Path, *, project: str, start_page: str) -> None:
    """Serve the page of a project.

    Parameters
    ----------
    web
        Folder of the page: what its `index.html` makes is served at /, everything in it under /web/; see `fill_page`.
    start_page
        Address of the start page, which knows the demos that a view of the page links; empty for no links.

    Raises
    ------
    FileNotFoundError
        If the folder has no index.html.
    ValueError
        If the index.html does not fill the slots of the page.
    RuntimeError
        If the package with the files of Swagger UI is not installed.
    """
    page = fill_page((web / "index.html").read_text(encoding="utf-8"))
    project_files = CachedFiles(web, cache_control=_REVALIDATE)
    asked = StartPage(start_page) if start_page else None

    async def index(request: Request) -> Response:
        demos = await asked.demos() if asked else None
        content = page.replace(_DEMOS, navigation(demos, project) if demos else "")
        etag = f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
        response = HTMLResponse(content, headers={"Cache-Control": _REVALIDATE, "ETag": etag})
        if project_files.is_not_modified(response.headers, request.headers):
            return NotModifiedResponse(response.headers)
        return response

    app.add_route("/", index, include_in_schema=False)
    app.mount("/web", project_files)
    app.mount("/static", CachedFiles(_STATIC, cache_control=_REVALIDATE))
    _add_docs(app)


def fill_page(source: str) -> str:
    """Fill the page that all projects share, `static/page.html`, with what is special to one.

    Parameters
    ----------
    source
        An index.html: a line ``<!-- slot: NAME -->`` before the content of each slot. Without any such line it is a
        page of its own, and returned as it is.

    Raises
    ------
    ValueError
        If a slot has no content, is missing, comes twice, or is unknown to the page.
    """
    before, *parts = _SLOT.split(source)
    if not parts:
        return source
    template = Template((_STATIC / "page.html").read_text(encoding="utf-8"))
    names, contents = parts[::2], [content.strip() for content in parts[1::2]]
    slots = sorted(template.get_identifiers())
    expected = [name for name in slots if name != _OPTIONAL]
    if sorted(names) not in (slots, expected) or not all(contents) or before.strip():
        raise ValueError(
            f"the slots of index.html are {', '.join(names)}: expected {', '.join(expected)}, and perhaps {_OPTIONAL}, "
            "each filled once"
        )
    return template.substitute({_OPTIONAL: ""} | dict(zip(names, contents, strict=True)))


def _add_docs(app: FastAPI) -> None:
    page = _DOCS_PAGE.format(title=html.escape(app.title))

    async def docs(_: Request) -> Response:
        return HTMLResponse(page, headers={"Cache-Control": _REVALIDATE})

    async def start(_: Request) -> Response:
        return Response(_DOCS_SCRIPT, media_type="text/javascript", headers={"Cache-Control": _REVALIDATE})

    app.add_route("/docs", docs, include_in_schema=False)
    app.add_route("/docs/start.js", start, include_in_schema=False)
    app.mount("/docs/assets", CachedFiles(_swagger_files(), cache_control=_ONE_DAY))


def _swagger_files() -> Path:
    # Only the files of this package are used. Finding it does not import it.
    spec = importlib.util.find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise RuntimeError("fastapi-offline is not installed: install portfolio-shared[serving], which brings it")
    return Path(spec.origin).parent / "static"
