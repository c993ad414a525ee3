"""Each term stands once in the glossary, in order, and every link to a term leads there."""

import posixpath
import re

import pytest
from checkout import ROOT, tracked

TERMS = re.findall(r"^### (.+)$", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
DOCUMENTS = [name for name in tracked() if name.endswith(".md")]


def anchor(heading: str) -> str:
    """Return what a code host, and the site of the documents, make of a heading for links.

    >>> anchor("A/B test"), anchor("p50 and p99")
    ('ab-test', 'p50-and-p99')
    """
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


ANCHORS = [anchor(term) for term in TERMS]


def links_to_terms(document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.findall(r"\]\(([^)\s#]*)#([^)\s]+)\)", text)
    folder = posixpath.dirname(document)
    return [
        term
        for file, term in found
        if (posixpath.normpath(posixpath.join(folder, file)) if file else document) == "docs/glossary.md"
    ]


def test_terms_stand_in_order_and_once() -> None:
    assert sorted(TERMS, key=str.lower) == TERMS
    assert len(set(ANCHORS)) == len(ANCHORS) > 60


def test_each_term_has_an_example_and_the_place_where_it_is_used() -> None:
    entries = re.split(r"^### .+$", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    lacking = [
        term
        for term, entry in zip(TERMS, entries, strict=True)
        if entry.count("*Example:*") != 1 or entry.count("*Where:*") != 1
    ]
    assert lacking == []


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if links_to_terms(name)])
def test_links_to_the_glossary_lead_to_a_term(document: str) -> None:
    assert sorted(set(links_to_terms(document)) - set(ANCHORS)) == [], "docs/glossary.md has no such heading"
