"""The housing page in a real browser: the form, the price, its reasons and refusals.

What every page promises is in tests/test_pages.py.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from browser_page import DESK, Visit
from playwright.sync_api import Route, expect

from housing.data.columns import columns
from housing.models.predictor import Predictor
from portfolio_shared.operations.store import Store, connect

pytestmark = [pytest.mark.slow, pytest.mark.browser]

REQUIRED = [name for name, column in columns().items() if column.required]
Running = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def log_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('log')}/log.db"


@pytest.fixture(scope="module")
def service(
    running_service: Running, bundle: Path, log_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("service")
    with running_service("housing", folder, bundle=bundle, prediction_log=log_url) as service:
        service.wait_for("/readyz")
        yield service


@pytest.fixture
def log(log_url: str) -> Iterator[Store]:
    with closing(connect(log_url)) as store:
        yield store


class HousingVisit(Visit):
    """What only the housing page shows."""

    def open(self, query: str = "") -> None:
        self.page.goto(f"{self.origin}/{query}")

    def value(self, test_id: str) -> float:
        return float(self.page.get_by_test_id(test_id).get_attribute("value") or "nan")

    def house(self) -> dict[str, Any]:
        """Return what the form says, as a record."""
        values = self.page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('#house [name]')].map((c) => [c.name, c.value]))"
        )
        stated = {name: value for name, value in values.items() if value != ""}
        return {name: float(value) if columns()[name].is_numeric else value for name, value in stated.items()}

    def steps(self) -> list[list[float]]:
        """Return the numbers in each row of the contributions."""
        rows: list[list[float]] = self.page.evaluate(
            """[...document.querySelectorAll("#contribution-rows tr")].map(
                (row) => [...row.querySelectorAll("td.number data")].map((data) => Number(data.value)))"""
        )
        return rows


@pytest.fixture
def visit(watched_page: Callable[..., AbstractContextManager[Any]], service: Any) -> Iterator[HousingVisit]:
    with watched_page(service.origin, **DESK) as opened:
        yield HousingVisit(service.origin, *opened)


def refuse(status: int) -> Callable[[Route], None]:
    """Return what answers a request with a problem."""
    problem = {"type": "about:blank", "title": "No", "status": status, "detail": "Too slow.", "instance": "x"}
    headers = {"Content-Type": "application/problem+json", "Retry-After": "60"}
    return lambda route: route.fulfill(status=status, headers=headers, body=json.dumps(problem))


def test_the_page_opens_with_the_price_of_a_typical_house(visit: HousingVisit, predictor: Predictor) -> None:
    visit.open()
    visit.wait_for_answer()

    house = visit.house()
    (expected,) = predictor.predict([house])
    assert set(house) == set(REQUIRED)
    assert visit.value("price") == pytest.approx(expected.price)
    assert visit.page.get_by_test_id("price").inner_text() == f"${expected.price:,.0f}"
    assert visit.value("interval-low") == pytest.approx(expected.interval.low)
    assert visit.value("interval-high") == pytest.approx(expected.interval.high)
    assert "90%" in visit.page.get_by_test_id("interval").inner_text()
    assert visit.complaints == []


def test_the_steps_sum_to_the_price_and_comparables_are_shown(visit: HousingVisit) -> None:
    visit.open()
    visit.wait_for_answer()

    (average, *effects, price) = visit.steps()
    assert len(effects) > 5
    assert average[0] + sum(effect for effect, _ in effects) == price[0] == round(visit.value("price"))
    assert [running for _, running in effects][-1] == price[0]
    rows = visit.page.get_by_test_id("comparables").locator("tbody tr")
    assert rows.count() == 5
    assert all(re.match(r"\$[\d,]+", text) for text in rows.locator("th").all_inner_texts())
    assert visit.page.get_by_test_id("filled").locator("tbody tr").count() == len(columns()) - len(REQUIRED)


def test_what_was_put_right_is_listed_and_nothing_where_nothing_was(visit: HousingVisit) -> None:
    visit.open("?year_built=1990&year_remod_add=1980")
    visit.wait_for_answer()
    repaired = visit.page.get_by_test_id("repaired")
    expect(repaired).to_be_visible()
    assert repaired.locator("tbody tr").count() == 1
    assert "remodeled when built" in (repaired.locator("tbody tr").text_content() or "")
    visit.open()
    visit.wait_for_answer()
    expect(repaired).to_be_hidden()


def test_the_form_can_be_filled_in_by_keyboard_alone(visit: HousingVisit, predictor: Predictor) -> None:
    visit.open()
    visit.wait_for_answer()
    page = visit.page
    keys = {"gr_liv_area": ["Control+A", "2", "3", "4", "5"], "overall_qual": ["End"], "neighborhood": list("Stone")}

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    reached: list[str] = []
    while len(reached) < len(REQUIRED):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement !== document.body"), f"Tab reaches {reached} only"
        if name := page.evaluate("document.activeElement.name ?? ''"):
            reached.append(name)
            for key in keys.get(name, []):
                page.keyboard.press(key)

    house = visit.house()
    assert sorted(reached) == sorted(REQUIRED)
    assert (house["gr_liv_area"], house["overall_qual"], house["neighborhood"]) == (2345, 10, "StoneBr")
    price = predictor.predict([house])[0].price
    expect(page.get_by_test_id("price")).to_have_text(f"${price:,.0f}")
    # What a screen reader says, and what a link to this answer holds.
    expect(page.get_by_test_id("announcement")).to_contain_text(f"Estimated price ${price:,.0f}")
    assert "gr_liv_area=2345" in page.url
    assert visit.complaints == []


def test_an_address_brings_its_house_back(visit: HousingVisit, predictor: Predictor) -> None:
    visit.open("?gr_liv_area=2345&kitchen_qual=Ex&nonsense=1")
    visit.wait_for_answer()

    house = visit.house()
    assert (house["gr_liv_area"], house["kitchen_qual"]) == (2345, "Ex")
    assert visit.value("price") == pytest.approx(predictor.predict([house])[0].price)
    expect(visit.page.get_by_test_id("notice")).to_contain_text("nonsense")
    # A detail that is stated is open to see, and counts among those that were given.
    expect(visit.page.get_by_test_id("field-kitchen_qual")).to_be_visible()


def test_an_error_appears_at_its_field_and_goes_when_it_is_corrected(visit: HousingVisit) -> None:
    visit.open()
    visit.wait_for_answer()
    area = visit.page.get_by_test_id("field-gr_liv_area")
    error = visit.page.get_by_test_id("error-gr_liv_area")

    area.fill("99")
    expect(error).to_be_visible()

    assert "100" in error.inner_text()
    assert area.get_attribute("aria-invalid") == "true"
    assert (error.get_attribute("id") or "?") in (area.get_attribute("aria-describedby") or "").split()
    shown = visit.page.locator(".field-error:visible")
    assert shown.count() == 1
    expect(visit.page.get_by_test_id("stale")).to_be_visible()

    area.fill("1500")
    expect(error).to_be_hidden()
    visit.wait_for_answer()
    assert area.get_attribute("aria-invalid") is None
    expect(visit.page.get_by_test_id("stale")).to_be_hidden()
    assert visit.statuses() == {"422"}


def test_an_error_across_fields_opens_the_details_it_is_in(visit: HousingVisit) -> None:
    visit.open("?yr_sold=2007&year_built=2010")

    error = visit.page.get_by_test_id("error-year_built")
    expect(error).to_be_visible()
    assert "2008" in error.inner_text()
    assert visit.page.get_by_test_id("region").get_attribute("data-state") == "empty"
    assert visit.statuses() == {"422"}


def test_a_busy_service_leaves_the_old_answer_marked_as_old(visit: HousingVisit) -> None:
    visit.open()
    visit.wait_for_answer()
    before = visit.value("price")
    visit.page.route("**/v1/predictions", refuse(503))
    visit.page.get_by_test_id("field-gr_liv_area").fill("2000")
    expect(visit.page.get_by_test_id("failure")).to_contain_text("Too slow.")
    expect(visit.page.get_by_test_id("region")).to_have_attribute("data-state", "stale")
    expect(visit.page.get_by_test_id("stale")).to_be_visible()
    assert visit.value("price") == before

    visit.page.unroute("**/v1/predictions")
    visit.page.get_by_test_id("retry").press("Enter")
    visit.wait_for_answer()
    expect(visit.page.get_by_test_id("failure")).to_be_hidden()
    assert visit.value("price") != before
    assert visit.statuses() == {"503"}


def test_a_sale_is_told_in_one_key_and_kept_with_the_estimate_that_is_shown(visit: HousingVisit, log: Store) -> None:
    visit.open()
    visit.wait_for_answer()
    page, price, state = visit.page, visit.page.get_by_test_id("sold-price"), visit.page.get_by_test_id("sold-state")
    expect(page.get_by_test_id("feedback")).to_contain_text("Nothing about you.")
    height = page.evaluate("document.documentElement.scrollHeight")

    price.fill("$1,000,500")
    price.press("Enter")
    expect(state).to_contain_text("Thank you.")

    too_low = 1_000_500 - round(visit.value("price"))
    expect(state).to_contain_text(f"${too_low:,} too low; the price lies outside the 90% interval")
    assert page.evaluate("document.documentElement.scrollHeight") == height
    ((prediction, feedback),) = log.feedback("housing", since=0, until=time.time() + 1)
    assert json.loads(prediction.response)["predictions"][0]["price"] == visit.value("price")
    assert (feedback.item, json.loads(feedback.truth)) == (0, {"price": 1_000_500.0})

    page.get_by_test_id("field-gr_liv_area").fill("2000")  # another house: nothing was said of it
    expect(state).to_be_empty()
    expect(price).to_have_value("")
    price.fill("90000")
    page.get_by_test_id("field-gr_liv_area").fill("2100")
    price.press("Enter")
    expect(state).to_contain_text("not of this house yet")
    visit.wait_for_answer()
    expect(state).to_be_empty()
    expect(price).to_have_value("90000")  # typed, and not sent yet
    assert visit.complaints == []

    held = visit.intercept("**/v1/feedback")
    lost = "Of the house before: Not kept. The service cannot be reached."
    for area, end, said in (("2200", Route.continue_, "Kept for the house before."), ("2300", Route.abort, lost)):
        price.fill("90000")
        price.press("Enter")
        page.get_by_test_id("field-gr_liv_area").fill(area)
        visit.wait_for_answer()
        expect(price).to_have_value("")  # another Enter tells nothing of the new house
        expect(state).to_have_text("Sending…")
        end(held())
        expect(state).to_have_text(said)


def test_what_is_no_price_is_not_sent_and_what_was_not_kept_says_so(visit: HousingVisit) -> None:
    visit.open()
    visit.wait_for_answer()
    page, price, state = visit.page, visit.page.get_by_test_id("sold-price"), visit.page.get_by_test_id("sold-state")
    for text in ("", "a lot", "999", "-5000", "1e9", "2000000000", "185.000", "1,85", "12,34,567", "185,000.5"):
        price.fill(text)
        page.get_by_test_id("tell").click()
        expect(state).to_have_text("Enter dollars from 1,000 to 10,000,000, such as 185,000 or 185,000.50.")
        expect(price).to_be_focused()
        assert (price.get_attribute("aria-invalid"), price.get_attribute("aria-describedby")) == ("true", "sold-state")

    page.evaluate("AbortSignal.timeout = ((limit) => () => limit.call(AbortSignal, 100))(AbortSignal.timeout)")
    for text, answer, said in (
        ("150000", refuse(404), "Not kept. The service no longer keeps that answer."),
        ("$150,000.00", refuse(503), "Not kept. Too slow."),
        ("150000.50", lambda route: None, "Perhaps not kept. The service did not answer within 15 seconds."),
    ):
        page.route("**/v1/feedback", answer)
        price.fill(text)
        page.get_by_test_id("tell").click()
        expect(state).to_have_text(said)
        expect(price).to_have_value(text)
        assert price.get_attribute("aria-invalid") is None
    assert visit.statuses() == {"404", "503"}


def test_a_service_that_keeps_nothing_asks_for_nothing(visit: HousingVisit) -> None:
    def without_feedback(route: Route) -> None:
        route.fulfill(json=route.fetch().json() | {"feedback": False})

    visit.page.route("**/v1/model", without_feedback)
    visit.open()
    visit.wait_for_answer()
    expect(visit.page.get_by_test_id("feedback")).to_be_hidden()
