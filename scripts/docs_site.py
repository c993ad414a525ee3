"""Build the site of the repository's documents into build/site; a link that leads nowhere is an error.

`make docs` runs this in an environment of its own, after `docs_openapi.py` wrote the pages of the services.
"""

import argparse
import html
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath

from docs_check import problems
from docs_markdown import (
    SiteError,
    Tree,
    draw_diagrams,
    page_of,
    pictures_of,
    relink,
    toctree,
    without_dead_links,
)
from project_table import ROOT, Project, projects

DOCUMENTS = ("*.md", "docs/*.md", "docker/*.md", "benchmarks/*.md", "projects/*/*.md", "projects/*/docs/*.md")
API = "api/portfolio_shared/index"
SECTIONS = {
    "Learn": (
        "docs/system-design",
        "docs/glossary",
        "docs/experiments",
        "docs/inputs",
        "docs/exercises",
        "benchmarks/index",
    ),
    "Operate": (
        "docs/operations",
        "docs/reliability",
        "docs/settings",
        "docs/pipeline",
        "docs/spark",
        "docs/kubernetes",
        "docs/infrastructure",
        "docker/index",
        "SECURITY",
    ),
    "Reference": ("docs/index", f"Python API <{API}>", "http/index"),
}
"""What stands in the sidebar below the projects; a document that no section names comes last."""
BADGES = re.compile(r"<!-- badges -->.*?<!-- /badges -->\n*", re.DOTALL)
CARDS = re.compile(r"<!-- cards -->.*?<!-- /cards -->", re.DOTALL)
MADE = {f"Python API <{API}>", "http/index"}
"""Pages that are made from code."""


@dataclass(frozen=True)
class SiteSettings:
    """What `site.toml` says of the person whose site it is; the file explains each key."""

    name: str = "Your Name"
    headline: str = ""
    repository: str = ""
    projects: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)


def read_settings(path: Path, known: Sequence[Project]) -> SiteSettings:
    """Read `site.toml`; without an address of the repository, that of the workflow that runs is taken.

    Raises
    ------
    SiteError
        Where a key is unknown or of another type, or there is no such project.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    defaults = SiteSettings()
    for key, value in table.items():
        if key not in {each.name for each in fields(SiteSettings)}:
            raise SiteError(f"{path.name}: unknown key {key}")
        expected = list if key == "projects" else type(getattr(defaults, key))
        if type(value) is not expected:
            raise SiteError(f"{path.name}: {key} = {value!r}: expected {expected.__name__}")
    names = tuple(table.get("projects") or (each.name for each in known))
    if absent := set(names) - {each.name for each in known}:
        raise SiteError(f"{path.name}: there is no project {min(absent)}")
    server, workflow = (os.environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY"))
    repository = table.get("repository") or (f"{server}/{workflow}" if server and workflow else "")
    return SiteSettings(**{**table, "projects": names, "repository": repository.rstrip("/")})


def stage(root: Path, source: Path, settings: SiteSettings, draw: Callable[[str], str]) -> None:
    """Write the pages that Sphinx reads: every document, with what its page has beside its text."""
    documents = frozenset(str(path.relative_to(root)) for pattern in DOCUMENTS for path in root.glob(pattern))
    tree = Tree(root, documents, settings.repository)
    pages = {page_of(name).removesuffix(".md") for name in documents}
    shown = [project for project in projects(root) if project.name in settings.projects]
    broken = []
    for name in sorted(documents):
        text = (root / name).read_text(encoding="utf-8")
        try:
            page = draw_diagrams(without_dead_links(relink(text, name, tree)), draw)
        except SiteError as error:
            broken.append(str(error))
            continue
        for picture in pictures_of(text, name):
            _copy(root / picture, source / picture)
        if name == "README.md":
            page = home(page, settings, shown, root) + contents(pages, shown)
        elif PurePosixPath(name).match("projects/*/README.md"):
            page += "\n" + toctree(pages_below(name, pages))
        (source / page_of(name)).parent.mkdir(parents=True, exist_ok=True)
        (source / page_of(name)).write_text(page, encoding="utf-8")
    if broken:
        raise SiteError("\n".join(broken))
    services = [f"{project.title} <{project.name}>" for project in projects(root)]
    http = "# HTTP API\n\nWhat each service takes and answers.\n\n" + toctree(services, hidden=False)
    (source / "http" / "index.md").write_text(http, encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def draw_svg(text: str) -> str:
    """Draw a Mermaid diagram; mermaid.js runs in the docs environment, without a browser."""
    import mermaidx

    svg: str = mermaidx.render(text, theme="neutral").svg()
    return svg


def pages_below(readme: str, pages: set[str]) -> list[str]:
    """Return a project's other pages, as its own page names them: the story first, the studies last."""
    folder = str(PurePosixPath(readme).parent)
    order = ("CASE_STUDY", "MODEL_CARD", "DATA_SHEET")
    below = [page.removeprefix(f"{folder}/") for page in pages if page.startswith(f"{folder}/")]
    return sorted(
        (page for page in below if page != "index"),
        key=lambda page: (order.index(page) if page in order else len(order), page),
    )


def contents(pages: set[str], shown: Sequence[Project]) -> str:
    """Return the sidebar: projects, sections, and what no section names."""
    first = {"Projects": tuple(f"{project.title} <projects/{project.name}/index>" for project in shown)}
    there = pages | MADE
    sections = first | {name: tuple(page for page in listed if page in there) for name, listed in SECTIONS.items()}
    named = {page for listed in sections.values() for page in listed}
    rest = sorted(page for page in pages - named - {"index"} if not page.startswith("projects/"))
    return "\n" + "\n".join(toctree(listed, caption=name) for name, listed in [*sections.items(), ("More", rest)])


def home(readme: str, settings: SiteSettings, shown: Sequence[Project], root: Path) -> str:
    """Return the first page: whose it is below the README's title, and a card for each project.

    The cards stand in place of the README's own pictures, between `<!-- cards -->` and `<!-- /cards -->`; without
    these, before its text.
    """
    title, _, rest = BADGES.sub("", readme).partition("\n")
    links = {**settings.links, **({"Code": settings.repository} if settings.repository else {})}
    anchors = " ".join(f'<a href="{html.escape(url)}">{html.escape(label)}</a>' for label, url in links.items())
    about = f"<strong>{html.escape(settings.name)}</strong> <span>{html.escape(settings.headline)}</span> {anchors}"
    cards = [part for project in shown for part in _card(project, root)]
    grid = "\n".join(["::::{grid} 1 1 3 3", ":gutter: 3", ":class-container: cards", "", *cards, "::::"])
    text = CARDS.sub(lambda _: grid, rest) if CARDS.search(rest) else f"\n{grid}\n{rest}"
    return "\n".join([title, "", f'<p class="byline">{about}</p>', text])


def _card(project: Project, root: Path) -> list[str]:
    place = f"projects/{project.name}"
    picture = [f":img-top: {place}/docs/page.png"] if (root / place / "docs/page.png").exists() else []
    links = [f"[Story]({place}/index.md)", f"[API](http/{project.name}.md)"]
    if (root / place / "CASE_STUDY.md").exists():
        links.insert(1, f"[Case study]({place}/CASE_STUDY.md)")
    if (root / "build/demo" / project.name / "index.html").exists():
        links.insert(0, f'<a href="demo/{project.name}/index.html">Try it</a>')
    lead = project.lead.replace("\n", " ")
    footer = ["```{card-footer}", " · ".join(links), "```"]
    return [f":::{{grid-item-card}} {project.title}", *picture, "", lead, "", *footer, ":::", ""]


def build(source: Path, site: Path) -> None:
    """Let Sphinx build the staged pages, add the demo if it was made, and check what came out.

    Raises
    ------
    SiteError
        Where Sphinx warns, a link leads nowhere, or a page would load something from another host.
    """
    shutil.rmtree(site, ignore_errors=True)
    command = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--builder", "html", "--jobs", "auto"]
    configuration = ["--conf-dir", str(ROOT / "docs/site"), "--doctree-dir", str(source.parent / "doctrees")]
    done = subprocess.run([sys.executable, *command, *configuration, str(source), str(site)], check=False)
    if done.returncode:
        raise SiteError("Sphinx found what is named above")
    if (ROOT / "build/demo").is_dir():
        shutil.copytree(ROOT / "build/demo", site / "demo")
    if found := problems(site):
        raise SiteError("\n".join(found))


def main() -> None:
    """Stage the documents and build the site; the page to open is printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=ROOT / "build/docs", help="where the staged pages are written")
    parser.add_argument("--site", type=Path, default=ROOT / "build/site", help="where the site is written")
    arguments = parser.parse_args()
    try:
        stage(ROOT, arguments.source, read_settings(ROOT / "site.toml", projects()), draw_svg)
        build(arguments.source, arguments.site)
    except SiteError as error:
        sys.exit(str(error))
    print(f"The site: {arguments.site / 'index.html'}")


if __name__ == "__main__":
    main()
