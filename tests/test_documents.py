"""What documents name exists; numbers in data sheets and model cards are those of data, code and what was recorded.

`test_project_report.py` does the same for the sections of the READMEs that a command writes.
"""

import json
import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from checkout import ROOT, TARGETS, tracked

from portfolio_shared.evaluation.documents import NUMBER
from portfolio_shared.evaluation.sections import read_section
from project_table import projects

# Those of templates name what a new project will have.
DOCUMENTS = [name for name in tracked() if name.endswith(".md") and not name.startswith("templates/")]
HOUSING, FILMS, PICTURES = (ROOT / "projects" / name for name in ("housing", "recommender", "image-classifier"))


def commands_in(document: str) -> list[str]:
    """Return the targets after each `make` in the code of a Markdown document."""
    code = re.findall(r"^ *```.*?\n(.*?)^ *```", document, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^ *```.*?^ *```", "", document, flags=re.DOTALL | re.MULTILINE)
    code += re.findall(r"`([^`]+)`", prose)
    code = [re.sub(r" #.*", "", each) for each in code]
    called = re.findall(r"(?:^|[\s;&(])make((?: +[a-z][a-z0-9-]*(?![\w=]))+)", "\n".join(code), re.MULTILINE)
    return sorted({target for group in called for target in group.split()})


def test_commands_are_found_in_code_alone() -> None:
    listed = "1. So:\n   ```\n   make drill\n   ```\n"
    document = f"make up\n{listed}```\nmake test  # tests\nX=1 make check FLAGS=a\n```\n`make docs data`"
    assert commands_in(document) == ["check", "data", "docs", "drill", "test"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_and_file_that_a_document_names_exists(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    commands = commands_in(text)
    links = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text)

    made = {target.replace("%", project.name) for target in TARGETS for project in projects()} | set(TARGETS)
    assert set(commands) - made == set()
    inside = [link for link in links if not urlsplit(link).scheme]
    assert [link for link in inside if not ((ROOT / name).parent / link).exists()] == []


def test_every_alarm_names_its_section_of_the_runbook() -> None:
    rules = (ROOT / "docker" / "alerts.yml").read_text(encoding="utf-8")
    runbook = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("\n## Runbook\n")[2]
    alarms = re.findall(r"- alert: (.+)", rules)
    assert len(alarms) > 10
    assert re.findall(r"^### (.+)", runbook, re.MULTILINE) == alarms
    anchors = [f"docs/operations.md#{alarm.lower().replace(' ', '-')}" for alarm in alarms]
    assert re.findall(r"runbook: (.+)", rules) == anchors


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_module_that_a_document_names_exists(name: str) -> None:
    files = [f"/{file}" for file in tracked()]
    named = re.findall(r"`([\w./-]+\.py)`", (ROOT / name).read_text(encoding="utf-8"))
    assert [path for path in named if not any(file.endswith(f"/{path}") for file in files)] == []


def test_what_is_promised_of_security_is_shown_by_tests_that_exist() -> None:
    promised = text_of("SECURITY.md").partition("## What is promised")[2]
    rows = re.findall(r"^\| (?!promise|---)(.+) \| (.+) \|$", promised, re.MULTILINE)
    tests = [name for name in tracked() if re.search(r"tests/.*test_\w+\.py$", name)]
    defined = {name for path in tests for name in re.findall(r"^def (test_\w+)", text_of(path), re.MULTILINE)}
    assert len(rows) > 10
    for promise, shown in rows:
        named = re.findall(r"`(\w+)`", shown)
        assert named, promise
        assert set(named) <= defined, promise


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def words(path: Path) -> str:
    """Return a document without its line ends, and without the marks of its numbers."""
    return " ".join(NUMBER.sub(lambda number: number["text"], path.read_text(encoding="utf-8")).split())


def recorded(project: Path) -> dict:
    return json.loads((project / "docs" / "report.json").read_text(encoding="utf-8"))


def missing(sentences: list[str], document: Path) -> list[str]:
    text = words(document)
    return [sentence for sentence in sentences if sentence not in text]


@pytest.fixture(scope="module")
def sales():
    from housing.data.load import load

    return load("sample").sales.frame


@pytest.fixture(scope="module")
def films():
    from recommender.data.load import load

    return load("sample")


def test_the_data_sheet_of_houses_is_true(sales) -> None:
    from housing.data.columns import columns
    from housing.data.load import SAMPLE
    from housing.models.comparables import Comparables

    neighborhoods, years = sales["neighborhood"].value_counts(), sales["yr_sold"]
    large = sales[sales["gr_liv_area"] > 4000]
    properties = {field.name for field in fields(Comparables)} - {"contributions", "squared_norm", "price"}
    named = {"gr_liv_area": "living area", "overall_qual": "quality", "yr_sold": "year of sale"}
    assert (len(properties), len(large), (large["sale_condition"] == "Partial").sum()) == (6, 5, 3)
    sentences = [
        f"{len(sales):,} sales of residential properties in Ames, Iowa, {years.min():g} to {years.max():g}",
        f"{len(columns())} describing columns, a parcel number, a price",
        f"{len(neighborhoods)} neighborhoods, from {neighborhoods.min()} to {neighborhoods.max()} sales each",
        f"packed to {SAMPLE.path.stat().st_size / 1000:.0f} kB",
        "Five houses exceed 4,000 square feet, three of them sold before completion",
        f"six properties ({', '.join(named.get(name, name.replace('_', ' ')) for name in ordered(properties))})",
    ]
    assert missing(sentences, HOUSING / "DATA_SHEET.md") == []


def ordered(names: set[str]) -> list[str]:
    from housing.models.comparables import Comparables

    return [field.name for field in fields(Comparables) if field.name in names]


def test_the_model_card_of_houses_is_true(sales) -> None:
    from housing.config import COVERAGE
    from housing.data.columns import columns
    from housing.models.predictor import SPARSE_FROM

    required = sum(column.required for column in columns().values())
    rows = recorded(HOUSING)["rows"]
    assert (required, SPARSE_FROM, COVERAGE) == (10, 5, 0.9)
    assert rows["train"] / sum(rows.values()) == pytest.approx(0.8, abs=0.01)
    sentences = [
        f"with a {COVERAGE:.0%}".replace("%", " %") + " interval",
        f"Four fifths of {len(sales):,} assessor's records",
        "Given ten fields only",
        "With five to about fifty open fields",
    ]
    assert missing(sentences, HOUSING / "MODEL_CARD.md") == []


def test_the_data_sheet_of_films_is_true(films) -> None:
    ratings, catalogue = films.ratings, films.catalogue
    first, last = (
        np.array([f(ratings.times[ratings.users == user]) for user in range(ratings.n_users)]) for f in (np.min, np.max)
    )
    per_user = ratings.user_counts()
    begin, end = (datetime.fromtimestamp(f(ratings.times), tz=UTC) for f in (min, max))
    users = recorded(FILMS)["users"]
    unrated = re.search(r"18 of (\d+) films have no rating", read_section(FILMS / "DATA_SHEET.md", "data"))
    assert ((last - first) <= 3600).mean() < 0.01
    sentences = [
        f"{len(ratings):,} ratings from 0 to 10 of {len(catalogue.films):,} films by {ratings.n_users:,} people",
        f"{begin.day} {begin:%B} to {end.day} {end:%B %Y}",
        f"Half of the people have {np.median(per_user):.0f} ratings or fewer, one has {per_user.max()}",
        f"Ratings came over {np.median(last - first) / 86_400:.0f} days for the median person; fewer than one in a",
        "five ratings of 0 become half a star",
        f"{users['ratings to learn from'] + users['ratings in the test']:,} ratings from 0.5 to 5 stars",
        f"of {int(unrated[1]):,} films by {users['users evaluated']} users",
    ]
    assert (
        (ratings.values == 0.5).sum()
        >= films.report.as_dict()["repaired"]["rating of 0 of 10, read as half a star"]
        == 5
    )
    assert missing(sentences, FILMS / "DATA_SHEET.md") == []


@pytest.mark.real_data
def test_what_the_data_sheet_of_films_says_of_movielens_is_true(real_data_dir, monkeypatch) -> None:
    from recommender.data.load import load

    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(real_data_dir))
    ratings = load("full").ratings
    per_user, per_film = ratings.user_counts(), ratings.item_counts()
    assert (per_user <= 70).mean() == 0.5
    assert 1 / 3 < (per_film == 1).mean() < 0.36
    sentences = [
        f"Half of the users have 70 ratings or fewer, one has {per_user.max():,}",
        "More than one film of three",
    ]
    assert missing(sentences, FILMS / "DATA_SHEET.md") == []


def test_the_model_card_of_films_is_true(films) -> None:
    from recommender.config import tuned_settings

    least = tuned_settings().ease.min_raters
    attacked = json.loads((ROOT / "benchmarks/results/recommender_privacy.json").read_text(encoding="utf-8"))
    served = [row for row in attacked["rows"] if row["served"]]
    nearly = {row["name"].split(",")[0]: round(row["read_nearly"] * row["n_read"]) for row in served}
    assert least == 5
    assert [row["read_completely"] for row in served] == [0, 0]
    assert nearly["EASE with item features"] <= 1 < nearly["ALS"] <= 10
    sentences = [
        f"{len(films.ratings):,} ratings of MovieTweetings, 2013",
        f"It learned from {recorded(FILMS)['users']['users evaluated']} volunteers",
        f"(or from {films.ratings.n_users:,} people who tweeted what they watched in 2013)",
        "Films that fewer than five people rated are never recommended",
    ]
    assert missing(sentences, FILMS / "MODEL_CARD.md") == []


def test_the_data_sheet_of_pictures_is_true() -> None:
    from image_classifier.data.cut_sample import PER_CLASS
    from image_classifier.data.duplicates import HASH_SIDE, NEAR_BITS, SAME_BITS
    from image_classifier.data.load import SAMPLE, TEST_FRACTION, VALIDATION_FRACTION

    sheet, report = PICTURES / "DATA_SHEET.md", read_section(PICTURES / "DATA_SHEET.md", "data")
    read = re.search(r"^\| read \| ([\d,]+) \|$", report, re.MULTILINE)[1]
    near = re.search(r"(\d+) pictures have near duplicates, in (\d+) groups", report)
    twins = re.findall(
        r"^\| excluded: (?:exact copy of another file of its class|same picture under two classes) \| (\d+) \|$",
        report,
        re.MULTILINE,
    )
    per_class = {folder.name: len(list(folder.glob("*.jpg"))) for folder in SAMPLE.path.iterdir() if folder.is_dir()}
    counted = re.findall(r"^\| (\w+) \| (\d+) \|$", sheet.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(per_class) == {name for name, _ in counted}
    assert f"{sum(int(number) for _, number in counted):,}" == read
    assert set(per_class.values()) == {sum(PER_CLASS.values())}
    sentences = [
        f"{read} photographs of daisies, dandelions, roses, sunflowers and tulips",
        f"| near duplicates | {near[1]} | kept, in {near[2]} groups",
        f"| exact copies within a class | {twins[0]} |",
        f"| the same bytes filed under roses and under tulips | {twins[1]} |",
        f"at most {NEAR_BITS} of the {HASH_SIDE**2} bits of a perceptual hash",
        f"only if at most {SAME_BITS} bits differ",
        f"{TEST_FRACTION:.0%}".replace("%", " %") + " are the test, " + f"{VALIDATION_FRACTION:.0%}".replace("%", " %"),
        f"{sum(per_class.values())} photographs, {sum(PER_CLASS.values())} of each class",
    ]
    assert missing(sentences, sheet) == []


def test_the_model_card_of_pictures_is_true() -> None:
    from image_classifier.data.load import SAMPLE
    from image_classifier.evaluation.out_of_distribution import KINDS
    from image_classifier.models.export import ACCURACY_LOSS

    unsure = recorded(PICTURES)["out_of_distribution"]
    assert (len(KINDS), ACCURACY_LOSS) == (10, 0.005)
    assert unsure["noise"] < min(recorded(PICTURES)["studies"]["declined"]["linear probe"]["far"].values())
    sentences = [
        f"all of them or the {len(list(SAMPLE.path.glob('*/*.jpg')))} that ship",
        "where that costs at most half a point of accuracy",
        f"measured on {20 * len(KINDS)} pictures of ten kinds",
    ]
    assert missing(sentences, PICTURES / "MODEL_CARD.md") == []
