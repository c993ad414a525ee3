"""Each term stands once in the glossary, in order; every link to a heading of a document leads to one."""

import posixpath
import re

import pytest
from checkout import ROOT, tracked

GLOSSARY = "docs/glossary.md"
READ_FIRST = re.compile(r"README\.md|docs/system-design\.md|projects/[^/]+/(README|CASE_STUDY)\.md")
NO_PROSE = re.compile(
    r"<!-- report:([\w-]+) -->.*?<!-- /report:\1 -->|^ *```.*?^ *```|`[^`]+`|!\[[^\]]*\]|(?<=\])\([^)]*\)|^#.*?$",
    re.DOTALL | re.MULTILINE,
)
TECHNICAL = (
    *("RMSLE", "nDCG", "EASE", "ALS", "Ridge", "Random forest", "Gradient boosting", "Bias and variance", "Bootstrap"),
    *("A/B test", "Shadow", "Canary", "Interleaving", "Softmax", "Fine-tuning", "Conformal interval", "Log loss"),
    *("Cold start", "Cross-fitting", "Leakage", "Linear probe", "Out-of-distribution", "Shapley value", "Temperature"),
)
DOCUMENTS = [name for name in tracked() if name.endswith(".md")]


def headings(document: str, levels: str = "#+") -> list[str]:
    """Return the headings of a document, which are none in code."""
    text = re.sub(r"^```.*?^```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.findall(rf"^{levels} (.+)$", text, re.MULTILINE)


def anchor(heading: str) -> str:
    """Return what a code host, and the site of the documents, make of a heading for links.

    >>> anchor("A/B test"), anchor("`p50` and p99")
    ('ab-test', 'p50-and-p99')
    """
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def links_to_headings(document: str) -> list[tuple[str, str]]:
    """Return the documents and anchors that a document links to."""
    folder = posixpath.dirname(document)
    found = re.findall(r"\]\(([^)\s#:]*)#([^)\s]+)\)", (ROOT / document).read_text(encoding="utf-8"))
    named = [(posixpath.normpath(posixpath.join(folder, file)) if file else document, term) for file, term in found]
    return [(f"{file}/README.md" if (ROOT / file).is_dir() else file, term) for file, term in named]


def test_terms_stand_in_order_and_once() -> None:
    terms = headings(GLOSSARY, "###")
    assert sorted(terms, key=str.lower) == terms
    assert len(set(map(anchor, terms))) == len(terms) > 60


def test_each_term_has_an_example_and_the_place_where_it_is_used() -> None:
    entries = re.split(r"^### ", (ROOT / GLOSSARY).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    lacking = [
        entry.partition("\n")[0] for entry in entries if entry.count("*Example:*") != 1 or entry.count("*Where:*") != 1
    ]
    assert lacking == []


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if links_to_headings(name)])
def test_a_link_to_a_heading_leads_to_one(document: str) -> None:
    lost = [
        f"{file}#{term}"
        for file, term in links_to_headings(document)
        if file.endswith(".md") and term not in map(anchor, headings(file))
    ]
    assert lost == []


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if READ_FIRST.fullmatch(name)])
def test_a_document_that_is_read_first_links_its_terms(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    linked = {term for file, term in links_to_headings(document) if file == GLOSSARY}
    prose = NO_PROSE.sub("", text)
    cased = {term: 0 if term.isupper() else re.IGNORECASE for term in TECHNICAL}
    used = {term for term in TECHNICAL if re.search(rf"\b{re.escape(term)}\b", prose, cased[term])}
    assert {term for term in used if anchor(term) not in linked} == set(), "link the first use to docs/glossary.md"
