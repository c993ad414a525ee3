"""The page that all projects share, and what fills it."""

import pytest

from portfolio_shared.serving.pages import fill_page

SLOTS = {
    "name": "demo",
    "title": "A demo",
    "description": "What it shows",
    "heading": "A demo of $5",
    "lead": "Two lines,\nthe second is here.",
    "skip_link": "Skip to the answers",
    "sample_notice": "Its answers mean nothing.",
    "main": '<p id="results">Here: <!-- no slot --></p>',
}


def source(**changes):
    return "".join(f"<!-- slot: {name} -->\n{content}\n" for name, content in (SLOTS | changes).items())


def test_each_slot_stands_in_its_place():
    page = fill_page(source())

    assert page.startswith("<!doctype html>")
    assert all(content in page for content in SLOTS.values())
    assert '<link rel="stylesheet" href="web/demo.css">' in page
    assert '<script type="module" src="web/demo.js"></script>' in page
    assert "<!-- slot:" not in page
    assert page.index("<h1>A demo of $5</h1>") < page.index('<main class="split">') < page.index('id="results"')


def test_a_project_whose_sample_is_everything_says_nothing_of_it():
    page = fill_page(source().replace(f"<!-- slot: sample_notice -->\n{SLOTS['sample_notice']}\n", ""))
    assert SLOTS["sample_notice"] not in page
    assert "$" not in page.replace("$5", "")


def test_a_page_of_its_own_stays_as_it_is():
    assert fill_page("<!doctype html><title>$5</title>") == "<!doctype html><title>$5</title>"


@pytest.mark.parametrize(
    "wrong",
    [
        source().replace("<!-- slot: lead -->\n", ""),
        source() + "<!-- slot: lead -->\nOnce more\n",
        source() + "<!-- slot: sample_notice -->\nOnce more\n",
        source(aside="Nothing has this slot."),
        source(lead=" "),
        f"<p>Before</p>\n{source()}",
    ],
    ids=["missing", "twice", "optional twice", "unknown", "empty", "text before"],
)
def test_slots_that_do_not_fit_are_named(wrong):
    with pytest.raises(ValueError, match="expected description, heading, lead, main, name"):
        fill_page(wrong)
