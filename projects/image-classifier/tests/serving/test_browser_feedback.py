"""What a picture shows is said in one click, where the service keeps it, and the page says what is stored."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from browser_page import DESK, PHONE
from playwright.sync_api import Locator, Route, expect

from image_classifier.config import MODEL_NAME
from image_classifier.models.predictor import Predictor
from portfolio_shared.operations.store import connect

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PictureVisit = Any  # of conftest.py, as all fixtures here
Upload = dict[str, Any]
Running = Callable[..., AbstractContextManager[Any]]
Visiting = Callable[..., AbstractContextManager[PictureVisit]]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('log')}/log.db"


@pytest.fixture(scope="module")
def keeping_service(
    running_service: Running, bundle: Path, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("service")
    with running_service("image-classifier", folder, bundle=bundle, prediction_log=database) as service:
        service.wait_for("/readyz")
        yield service


@pytest.fixture
def keeping(visiting: Visiting, keeping_service: Any) -> Iterator[PictureVisit]:
    with visiting(keeping_service.origin, **DESK) as visit:
        visit.open()
        yield visit


def kept(database: str) -> list[str | None]:
    """Return the labels that were told, the latest of each picture, the oldest first."""
    store = connect(database)
    told = [json.loads(given.truth)["label"] for _, given in store.feedback(MODEL_NAME, since=0, until=1e12)]
    store.close()
    return told


def told_state(row: Locator) -> Locator:
    return row.get_by_test_id("told")


def test_the_right_label_is_told_in_one_click_and_the_last_word_counts(
    keeping: PictureVisit, database: str, uploads: list[Upload], predictor: Predictor
) -> None:
    expect(keeping.page.get_by_test_id("stored")).to_contain_text("a fingerprint of the file. Never")
    keeping.choose(*uploads[:2])
    first, second = keeping.answers(2)
    height = keeping.page.evaluate("document.documentElement.scrollHeight")
    title = first.get_by_test_id("title").inner_text()
    other = next(label for label in predictor.labels if label != second.get_by_test_id("title").inner_text())

    right = first.get_by_text("Right", exact=True)
    right.click()
    expect(told_state(first)).to_have_text(f"Thank you: kept as {title}.")
    expect(right).to_have_attribute("aria-pressed", "true")
    expect(right).to_have_attribute("aria-label", f"Right: {title}")
    second.get_by_role("button", name=other).focus()
    keeping.page.keyboard.press("Enter")
    expect(told_state(second)).to_have_text(f"Thank you: kept as {other}.")
    assert set(kept(database)[-2:]) == {title, other}  # two answers of one millisecond have no order

    second.get_by_role("button", name="None of these").click()
    expect(told_state(second)).to_have_text("Thank you: kept as none of these.")
    expect(second.locator("[aria-pressed=true]")).to_have_count(1)
    assert set(kept(database)[-2:]) == {title, None}
    assert keeping.page.evaluate("document.documentElement.scrollHeight") == height
    assert keeping.complaints == []


def test_of_a_picture_that_may_be_none_of_the_labels_that_is_the_first_choice(
    keeping: PictureVisit, unfamiliar: Upload
) -> None:
    keeping.choose(unfamiliar)
    (row,) = keeping.answers(1)
    expect(told_state(row)).to_have_text("What is it?")
    expect(row.get_by_test_id("feedback").get_by_role("button").first).to_have_text("None of these")


def test_keys_choose_from_a_list_and_the_last_of_quick_words_is_kept(
    keeping: PictureVisit, database: str, uploads: list[Upload], predictor: Predictor
) -> None:
    named: list[str] = []

    def two(route: Route) -> None:
        answer = route.fetch().json()
        (result,) = answer["results"]
        result["predictions"] = result["predictions"][:2]
        named.extend(prediction["label"] for prediction in result["predictions"])
        route.fulfill(json=answer)

    keeping.page.route("**/v1/classifications*", two)
    keeping.choose(uploads[0])
    (row,) = keeping.answers(1)
    listed = row.get_by_label("Another label")
    title, other = named
    others = [label for label in predictor.labels if label not in named]
    assert listed.locator("option").all_inner_texts() == ["Another", *others]
    before, keys = kept(database), keeping.page.keyboard
    row.get_by_role("button", name="It is this one").click()
    expect(told_state(row)).to_have_text("Choose a label from the list first.")
    listed.focus()
    for key in ("ArrowDown", "ArrowDown"):  # of a closed list, each key is a choice
        keys.press(key)
    expect(listed).to_have_value(others[1])
    keys.press("Tab")
    keys.press("Enter")
    expect(told_state(row)).to_have_text(f"Thank you: kept as {others[1]}.")
    expect(row.locator("[aria-pressed=true]")).to_have_text("It is this one")
    assert kept(database) == [*before, others[1]]

    held = keeping.intercept("**/v1/feedback")
    row.get_by_text("Right", exact=True).click()
    row.get_by_role("button", name="None of these").click()
    row.get_by_role("button", name=other).click()
    said = []
    for _ in range(2):
        route = held()
        said.append(json.loads(route.request.post_data or "")["truth"]["label"])
        route.continue_()
    expect(told_state(row)).to_have_text(f"Thank you: kept as {other}.")
    assert (said, kept(database)) == ([title, other], [*before, other])


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda route: route.abort("connectionrefused"), "Not kept. The service cannot be reached."),
        (lambda route: route.fulfill(status=404, json={}), "Not kept. The service no longer keeps that answer."),
        (lambda route: route.fulfill(status=503, json={"detail": "No log."}), "Not kept. No log."),
    ],
    ids=["away", "gone", "no log"],
)
def test_what_cannot_be_kept_is_said_and_what_was_told_before_stays(
    keeping: PictureVisit, uploads: list[Upload], answer: Any, says: str
) -> None:
    keeping.choose(uploads[0])
    (row,) = keeping.answers(1)
    right = row.get_by_text("Right", exact=True)
    right.click()
    expect(told_state(row)).to_contain_text("Thank you")
    keeping.page.route("**/v1/feedback", answer)
    row.get_by_role("button", name="None of these").click()
    expect(told_state(row)).to_have_text(says)
    expect(right).to_have_attribute("aria-pressed", "true")
    expect(row.get_by_role("button", name="None of these")).to_have_attribute("aria-pressed", "false")


def test_a_service_that_keeps_nothing_asks_nothing(visit: PictureVisit, uploads: list[Upload]) -> None:
    visit.open()
    expect(visit.page.get_by_test_id("stored")).to_contain_text("nothing is stored")
    visit.choose(uploads[0])
    (row,) = visit.answers(1)
    expect(row.get_by_test_id("feedback")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_all_choices_fit_and_stand_out(
    visiting: Visiting, keeping_service: Any, uploads: list[Upload], unfamiliar: Upload, scheme: str
) -> None:
    with visiting(keeping_service.origin, color_scheme=scheme, **PHONE) as visit:
        visit.open()
        visit.choose(uploads[0], unfamiliar)
        first, _ = visit.answers(2)
        first.get_by_text("Right", exact=True).click()
        expect(told_state(first)).to_contain_text("Thank you")
        visit.expect_to_fit()
        assert {text: contrast for text, contrast in visit.contrasts().items() if contrast < 4.5} == {}
        assert visit.complaints == []
