"""What is wrong with a built site: links that lead nowhere, and anything that a page would load from another host."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("link", "href"), ("object", "data"), ("use", "href"), ("image", "href")}
"""Attributes that load what they name, beside every `src`."""
URL_IN_STYLE = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""")


class Page(HTMLParser):
    """The anchors of a page, where it links to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        text = path.read_text(encoding="utf-8")
        self.feed(text)
        self.loads += URL_IN_STYLE.findall(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        for name, value in values.items():
            if name == "src" or (tag, name) in LOADED:
                self.loads.append(value)
            elif name == "srcset":
                self.loads += [each.split()[0] for each in value.split(",")]
            elif (tag, name) == ("a", "href"):
                self.links.append(value)


def problems(site: Path) -> list[str]:
    """Return one line for each link that leads nowhere and each thing that is loaded from another host.

    Links to other hosts are fine, and not asked.
    """
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = [
        f"{path.relative_to(site)}: loads {address}"
        for path in sorted(site.rglob("*.css"))
        for address in URL_IN_STYLE.findall(path.read_text(encoding="utf-8"))
    ]
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        found += [f"{name}: loads {address}" for address in page.loads if _is_foreign(address)]
        local = [address for address in page.links + page.loads if not urlsplit(address).scheme]
        found += [f"{name}: there is no {address}" for address in local if not _is_there(address, path, pages)]
    return found


def _is_foreign(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def _is_there(address: str, path: Path, pages: dict[Path, Page]) -> bool:
    target = urlsplit(address)
    if target.netloc:
        return True  # said already, if it is loaded
    file = (path.parent / unquote(target.path)).resolve() if target.path else path
    file = file / "index.html" if file.is_dir() else file
    anchor = unquote(target.fragment)
    return file.exists() and (not anchor or file not in pages or anchor in pages[file].anchors)
