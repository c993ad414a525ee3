"""The demos that run side by side: what the start page says of them, and the links between their pages."""

import asyncio
import logging
import time
from html import escape
from typing import Annotated

import httpx
from pydantic import BaseModel, StringConstraints, ValidationError

PATH = "/demos"
_SECONDS = 1.0  # a page waits no longer for its links
_KEPT_SECONDS = 10.0
_NAV = """<nav class="demo-links" aria-label="Demos" data-testid="demo-links">
{links}
</nav>"""

_log = logging.getLogger(__name__)

Address = Annotated[str, StringConstraints(pattern=r"^https?://[^/]+$")]
"""Of a server as a browser reaches it, without a slash at the end."""


class DemoLink(BaseModel):
    """One demo."""

    project: str
    title: str
    address: Address


class Demos(BaseModel):
    """What the start page answers at `PATH`: its own address, and all demos in order."""

    address: Address
    demos: tuple[DemoLink, ...]


class StartPage:
    """What the start page at an address says of the demos, asked once in ten seconds at most, also while it is away."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._asking = asyncio.Lock()  # views at the same time wait for one answer
        self._demos: Demos | None = None
        self._kept_until = 0.0

    async def demos(self) -> Demos | None:
        """Return the demos, or None if the start page is away."""
        async with self._asking:
            if time.monotonic() >= self._kept_until:
                self._demos = await ask_start_page(self._address)
                self._kept_until = time.monotonic() + _KEPT_SECONDS
            return self._demos


async def ask_start_page(start_page: str) -> Demos | None:
    """Return what the start page at this address says of the demos, or None, with a line in the log, if it is away."""

    async def ask() -> Demos:
        # Certificates are read where they are needed alone: that takes longer than the answer.
        secure = start_page.startswith("https:")
        async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False, verify=secure) as client:
            answer = await client.get(f"{start_page}{PATH}")
        return Demos.model_validate_json(answer.raise_for_status().content)

    try:
        return await asyncio.wait_for(ask(), _SECONDS)  # httpx's limit leaves out the resolution of the name
    except (httpx.HTTPError, ValidationError, TimeoutError) as error:
        _log.warning("no links to the other demos: %s: %s", type(error).__name__, error)
        return None


def navigation(demos: Demos, project: str) -> str:
    """Return the links from the page of a project to the start page and the other demos, as HTML.

    Examples
    --------
    >>> films = DemoLink(project="recommender", title="Films", address="http://127.0.0.1:8002")
    >>> print(navigation(Demos(address="http://127.0.0.1:8000", demos=(films,)), "recommender"))
    <nav class="demo-links" aria-label="Demos" data-testid="demo-links">
    <a href="http://127.0.0.1:8000">All demos</a>
    <span aria-current="page">Films</span>
    </nav>
    """
    links = [f'<a href="{escape(demos.address)}">All demos</a>']
    for demo in demos.demos:
        title = escape(demo.title)
        here = demo.project == project
        links.append(
            f'<span aria-current="page">{title}</span>' if here else f'<a href="{escape(demo.address)}">{title}</a>'
        )
    return _NAV.format(links="\n".join(links))
