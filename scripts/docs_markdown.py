"""The repository's Markdown as pages of the site: the same text, with links that lead where a page stands there.

On GitHub a document links to documents, pictures, code and folders alike. On the site documents are pages, pictures
lie beside them, and everything else is a link to the repository, if one is known.
"""

import html
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from urllib.parse import unquote, urlsplit

PICTURES = {".png", ".svg", ".jpg", ".jpeg", ".gif", ".webp"}
CODE = re.compile(r"((?<!`)(`+)(?!`).*?(?<!`)\2(?!`))", re.DOTALL)
"""A code span or a fence: as many backticks at its end as at its start."""
LINK = re.compile(r"""(?P<start>\]\(|\b(?:href|src)=")(?P<target>[^)\s"]+)""")
DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class SiteError(ValueError):
    """The site cannot be built; the message names the document and what is wrong with it."""


@dataclass(frozen=True)
class Tree:
    """What is linked to, and where that stands on the site.

    Attributes
    ----------
    root
        The folder of the repository.
    documents
        Paths below the root of the documents that are pages.
    repository
        Address of the repository, or nothing where none is known.
    """

    root: Path
    documents: frozenset[str]
    repository: str = ""


def page_of(document: str) -> str:
    """Return where a document stands on the site: a folder's README is its first page.

    Examples
    --------
    >>> page_of("docs/inputs.md"), page_of("projects/housing/README.md")
    ('docs/inputs.md', 'projects/housing/index.md')
    """
    path = PurePosixPath(document)
    return str(path.with_name("index.md")) if path.name == "README.md" else document


def pictures_of(text: str, document: str) -> set[str]:
    """Return the paths of the pictures that a document shows or links to."""
    shown = outside_code(text, lambda piece: piece, "")
    targets = [urlsplit(match["target"]) for match in LINK.finditer(shown)]
    named = {resolve(target.path, document) for target in targets if not target.scheme and not target.netloc}
    return {name for name in named if PurePosixPath(name).suffix.lower() in PICTURES}


def resolve(target: str, document: str) -> str:
    """Return the path below the root of what a document names, such as ../x.png."""
    return normpath(str(PurePosixPath(document).parent / unquote(target)))


def outside_code(text: str, change: Callable[[str], str], code: str | None = None) -> str:
    """Change what is no code; what is code stays, or is replaced by `code`."""
    pieces, end = [], 0
    for match in CODE.finditer(text):
        pieces += [change(text[end : match.start()]), match[0] if code is None else code]
        end = match.end()
    return "".join([*pieces, change(text[end:])])


def relink(text: str, document: str, tree: Tree) -> str:
    """Return a document with the links that it has as a page.

    Raises
    ------
    SiteError
        Where a link leads to a file or folder that is not there.
    """
    return outside_code(text, lambda piece: LINK.sub(lambda match: _link(match, document, tree), piece))


def _link(match: re.Match[str], document: str, tree: Tree) -> str:
    target = urlsplit(match["target"])
    if target.scheme or target.netloc or not target.path:
        return match[0]
    path = resolve(target.path, document)
    if not (tree.root / path).exists():
        raise SiteError(f"{document}: there is no {match['target']}")
    readme = normpath(f"{path}/README.md")
    anchor = f"#{target.fragment}" if target.fragment else ""
    for page in (path, readme):
        if page in tree.documents:
            here = PurePosixPath(page_of(document)).parent
            return f"{match['start']}{relpath(page_of(page), str(here))}{anchor}"
    if PurePosixPath(path).suffix.lower() in PICTURES:
        return match[0]
    kind = "tree" if (tree.root / path).is_dir() else "blob"
    address = f"{tree.repository}/{kind}/main/{path}{anchor}" if tree.repository else f"#code:{path}"
    return match["start"] + address


def without_dead_links(text: str) -> str:
    """Return a document whose links to code, where no repository is known, are their text alone.

    Examples
    --------
    >>> without_dead_links("[the license](#code:LICENSE) and [`x.py`](#code:x.py)")
    'the license and `x.py`'
    """
    return re.sub(r"\[([^\[\]]*)\]\(#code:[^)]*\)", r"\1", text)


def draw_diagrams(text: str, draw: Callable[[str], str]) -> str:
    """Replace each Mermaid diagram by its drawing, an SVG that stands in the page.

    Its text goes along for people who cannot see it.
    """

    def figure(match: re.Match[str]) -> str:
        drawn = re.sub(r"\s*\n\s*", " ", draw(match[1])).strip()
        label = html.escape("Diagram: " + "; ".join(match[1].split("\n")[1:-1]).strip())
        return f'```{{raw}} html\n<div class="diagram" role="img" aria-label="{label}">{drawn}</div>\n```'

    return DIAGRAM.sub(figure, text)


def toctree(pages: Iterable[str], *, caption: str = "", hidden: bool = True) -> str:
    """Return a table of contents for pages, which are paths without their ending or `title <path>`."""
    options = [f":caption: {caption}"] if caption else []
    return "\n".join(["```{toctree}", *options, *([":hidden:"] if hidden else []), "", *pages, "```", ""])
