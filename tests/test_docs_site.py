"""The site of the documents: links lead where a page stands, nothing is loaded from elsewhere, all of it builds."""

import re
import subprocess
from pathlib import Path

import pytest
from checkout import ROOT, clean_environment, tracked
from fastapi import FastAPI
from pydantic import BaseModel, Field

from docs_check import problems
from docs_markdown import SiteError, Tree, draw_diagrams, pictures_of, relink, without_dead_links
from docs_openapi import anchor, markdown, type_of
from docs_site import SiteSettings, contents, home, pages_below, read_settings, stage
from project_table import projects

REPOSITORY = "https://github.com/jane/ml"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for name in ("README.md", "docs/inputs.md", "projects/a/README.md", "projects/a/x.py", "docs/p.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("# T\n", encoding="utf-8")
    return Tree(tmp_path, frozenset({"README.md", "docs/inputs.md", "projects/a/README.md"}), REPOSITORY)


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("[a](inputs.md#b)", "[a](inputs.md#b)"),
        ("[a](../README.md)", "[a](../index.md)"),
        ("[a](../projects/a/README.md#b) [c](#d)", "[a](../projects/a/index.md#b) [c](#d)"),
        ("[a](../projects/a)", "[a](../projects/a/index.md)"),
        ("![a](p.png)", "![a](p.png)"),
        ("[`x.py`](../projects/a/x.py#L3)", f"[`x.py`]({REPOSITORY}/blob/main/projects/a/x.py#L3)"),
        ("[a](../projects)", f"[a]({REPOSITORY}/tree/main/projects)"),
        ('<a href="../README.md">a</a>', '<a href="../index.md">a</a>'),
        ("[a](https://example.org/README.md)", "[a](https://example.org/README.md)"),
        ("`[a](nowhere.md)`\n```\n[a](nowhere.md)\n```", "`[a](nowhere.md)`\n```\n[a](nowhere.md)\n```"),
    ],
)
def test_a_link_leads_where_its_document_stands_on_the_site(tree: Tree, text: str, page: str) -> None:
    assert relink(text, "docs/inputs.md", tree) == page


def test_a_link_that_leads_nowhere_is_an_error(tree: Tree) -> None:
    with pytest.raises(SiteError, match=r"docs/inputs.md: there is no \.\./nowhere.md"):
        relink("[a](../nowhere.md)", "docs/inputs.md", tree)


def test_without_an_address_of_the_repository_code_is_named_and_not_linked(tree: Tree) -> None:
    unknown = Tree(tree.root, tree.documents)
    page = relink("see [`x.py`](projects/a/x.py) and [docs](docs/inputs.md)", "README.md", unknown)
    assert without_dead_links(page) == "see `x.py` and [docs](docs/inputs.md)"


def test_pictures_are_found_in_markdown_and_html_and_not_in_code() -> None:
    text = '![a](p.png) <img src="../q.svg" alt=""> `![a](r.png)` [b](https://example.org/s.png)'
    assert pictures_of(text, "docs/x.md") == {"docs/p.png", "q.svg"}


def test_a_diagram_is_drawn_and_read_aloud() -> None:
    page = draw_diagrams(
        "a\n\n```mermaid\nflowchart LR\n    a -->|x < y| b\n```\n\nb", lambda _: "<svg>\n  <g/>\n</svg>"
    )
    assert "<svg> <g/> </svg>" in page
    assert 'aria-label="Diagram: a --&gt;|x &lt; y| b"' in page
    assert "mermaid" not in page


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<a href="b.html#there">b</a> <a href="https://example.org">c</a> <img src="data:image/png;base64,A">', []),
        ('<a href="gone.html">b</a>', ["a.html: there is no gone.html"]),
        ('<a href="b.html#gone">b</a>', ["a.html: there is no b.html#gone"]),
        ('<a href="#gone">b</a>', ["a.html: there is no #gone"]),
        ('<script src="https://cdn.example/x.js"></script>', ["a.html: loads https://cdn.example/x.js"]),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', ["a.html: loads //cdn.example/x.css"]),
        ("<style>@import 'https://cdn.example/x.css'</style>", ["a.html: loads https://cdn.example/x.css"]),
        ('<img srcset="b.html 1x, https://cdn.example/x.png 2x">', ["a.html: loads https://cdn.example/x.png"]),
    ],
)
def test_what_is_wrong_with_a_site_is_found(tmp_path: Path, page: str, found: list[str]) -> None:
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    (tmp_path / "b.html").write_text('<h1 id="there">b</h1>', encoding="utf-8")
    assert problems(tmp_path) == found


def test_a_font_of_another_host_in_a_style_sheet_is_found(tmp_path: Path) -> None:
    (tmp_path / "x.css").write_text("@font-face {src: url(https://fonts.example/a.woff2)}", encoding="utf-8")
    assert problems(tmp_path) == ["x.css: loads https://fonts.example/a.woff2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('nam = "x"', "site.toml: unknown key nam"),
        ("name = 1", "site.toml: name = 1: expected str"),
        ('projects = ["gone"]', "site.toml: there is no project gone"),
    ],
)
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "site.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SiteError, match=message):
        read_settings(tmp_path / "site.toml", projects())


def test_the_repository_is_that_of_the_workflow_unless_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "jane/ml")
    (tmp_path / "site.toml").write_text("", encoding="utf-8")
    settings = read_settings(tmp_path / "site.toml", projects())
    assert settings.repository == REPOSITORY
    assert settings.projects == tuple(project.name for project in projects())
    (tmp_path / "site.toml").write_text('repository = "https://example.org/x/"', encoding="utf-8")
    assert read_settings(tmp_path / "site.toml", projects()).repository == "https://example.org/x"


def test_the_first_page_names_the_person_and_shows_the_projects_that_they_chose() -> None:
    settings = SiteSettings(name="Jane <Doe>", headline="ML", links={"Mail": "mailto:j@example.org"})
    badges, cards = "<!-- badges -->\nB\n<!-- /badges -->\n\n", "<!-- cards -->\nC\n<!-- /cards -->"
    page = home(f"# Title\n\n{badges}before\n\n{cards}\n\nafter\n", settings, projects()[:1], ROOT)
    assert page.startswith("# Title\n")
    assert "<strong>Jane &lt;Doe&gt;</strong>" in page
    assert '<a href="mailto:j@example.org">Mail</a>' in page
    assert re.findall(r"\{grid-item-card\} (.+)", page) == [projects()[0].title]
    assert re.search(r"before\s+::::\{grid(?s:.*)::::\s+after", page)
    assert "B\n" not in page
    assert "C\n" not in page
    plain = home("# Title\n\ntext\n", settings, projects()[:1], ROOT)
    assert re.search(r"</p>\s+::::\{grid(?s:.*)::::\s+text", plain)


def test_every_page_has_a_place_in_the_sidebar() -> None:
    listed = contents({"index", "docs/glossary", "NEW", "projects/housing/index"}, projects()[:1])
    assert "projects/housing/index" in listed.partition("caption: Learn")[0]
    assert "NEW" in listed.partition("caption: More")[2]
    below = {"projects/a/index", "projects/a/docs/size", "projects/a/MODEL_CARD", "projects/a/CASE_STUDY"}
    assert pages_below("projects/a/README.md", below) == ["CASE_STUDY", "MODEL_CARD", "docs/size"]


def test_every_document_is_a_page_and_every_link_in_it_leads_somewhere(tmp_path: Path) -> None:
    (tmp_path / "http").mkdir()
    stage(ROOT, tmp_path, SiteSettings(projects=tuple(project.name for project in projects())), lambda _: "<svg/>")
    pages = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.md")}
    documents = [
        name for name in tracked("*.md") if re.fullmatch(r"([A-Z_]+|(docs|docker|projects/[^/]+)/.*)\.md", name)
    ]
    staged = {name.replace("README.md", "index.md") for name in documents if "/src/" not in name}
    assert len(staged) > 15
    assert staged - pages == set()


# The HTTP API


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "array", "items": {"$ref": "#/schemas/House"}, "maxItems": 5}, "list of [House](#house), at most 5"),
        ({"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]}, "number from 0, or null"),
        ({"enum": [*"abcdefghij"]}, "`a`, `b`, `c`, `d`, `e`, `f`, `g`, `h` and 2 more"),
        ({"type": "object", "additionalProperties": {"type": "integer", "maximum": 9}}, "object of integer to 9"),
        ({"type": "string", "minLength": 1, "maxLength": 80}, "string, at least 1 and at most 80 characters"),
        ({}, "anything"),
    ],
)
def test_a_type_is_said_in_words(schema: dict, words: str) -> None:
    assert type_of(schema) == words


def test_the_page_of_a_service_has_every_route_and_every_object() -> None:
    class Cabin(BaseModel):
        beds: int = Field(2, le=9, description="where one | two sleep")

    app = FastAPI(title="Cabins", description="Cabins in woods.")

    @app.post("/v1/cabins/{name}", summary="Keep a cabin")
    def keep(name: str, cabin: Cabin) -> Cabin:
        return cabin

    page = markdown("Cabins", app.openapi())
    assert "| [`POST /v1/cabins/{name}`](#post-v1cabinsname) | Keep a cabin |" in page
    assert "### POST /v1/cabins/{name}" in page
    assert "Takes `application/json`: [Cabin](#cabin)." in page
    assert "- Answers 200: `application/json` [Cabin](#cabin)." in page
    assert "| `name` | string | required |  |" in page
    assert r"| `beds` | integer to 9 | default `2` | where one \| two sleep |" in page
    assert anchor("POST /v1/cabins/{name}") == "post-v1cabinsname"


@pytest.mark.slow
@pytest.mark.long
def test_make_docs_builds_a_site_that_has_everything() -> None:
    command = ["make", "--no-print-directory", "docs"]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    site = ROOT / "build/site"
    assert problems(site) == []
    wanted = ["index.html", "docs/glossary.html", "api/portfolio_shared/bundle/index.html", "SECURITY.html"]
    wanted += [
        f"{place}/{project.name}{end}"
        for project in projects()
        for place, end in (("projects", "/index.html"), ("http", ".html"))
    ]
    assert [name for name in wanted if not (site / name).is_file()] == []
    assert "<svg" in (site / "docs/operations.html").read_text(encoding="utf-8")
    assert "write_bundle" in (site / "api/portfolio_shared/bundle/index.html").read_text(encoding="utf-8")
