"""The films page asks what was watched: one click, kept, taken back, and not asked where nothing is kept."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from browser_page import DESK, PHONE, Visit
from playwright.sync_api import Locator, expect

from portfolio_shared.operations.store import connect
from recommender.serving.observe import WATCH, Truth

pytestmark = [pytest.mark.slow, pytest.mark.browser]

Running = Callable[..., AbstractContextManager[Any]]
Watched = Callable[..., AbstractContextManager[Any]]

BOXES = """[...document.querySelectorAll(".films li, .films button")].map((node) => {
    const box = node.getBoundingClientRect();
    return [box.x, box.y + scrollY, box.width, box.height];
})"""


def expect_clicks_that_fail_to_be_taken_back(visit: Visit, row: Locator, state: Locator) -> None:
    """The first of two clicks fails and the later one counts; then one fails alone."""
    held = visit.intercept("**/v1/feedback")
    row.get_by_role("button", name="Liked it").click()
    row.get_by_role("button", name="Not for me").click()
    held().abort()
    held().continue_()  # the first click fails, and the later one counts
    expect(state).to_have_text("Kept")
    expect(row.locator("[aria-pressed=true]")).to_have_text("Not for me")
    row.get_by_role("button", name="Liked it").click()
    expect(row.locator("[aria-pressed=true]")).to_have_text("Liked it")
    held().abort()
    expect(row.get_by_role("alert")).to_have_text("Not kept. The service cannot be reached.")
    expect(row.locator("[aria-pressed=true]")).to_have_text("Not for me")
    expect(state).to_have_text("Kept")


def expect_the_question_where_nothing_fits(visit: Visit) -> None:
    """What was asked is kept where no film answers it as well, and the page says so."""
    visit.page.route(
        "**/v1/recommendations",
        lambda route: route.fulfill(json=route.fetch().json() | {"recommendations": []}),
    )
    visit.page.reload()
    visit.wait_for_answer()
    expect(visit.page.get_by_test_id("kept-help")).to_be_visible()  # the question is kept as well
    assert visit.page.locator(".films li").evaluate("(row) => row.scrollHeight") < 100


@pytest.mark.parametrize("device", [DESK, PHONE], ids=["desk", "phone"])
def test_what_somebody_watched_is_kept_in_one_click(
    running_service: Running, watched_page: Watched, bundle: Path, tmp_path: Path, device: dict[str, Any]
) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    with running_service("recommender", tmp_path, bundle=bundle, prediction_log=url) as service:
        service.wait_for("/readyz")
        with watched_page(service.origin, **device) as opened:
            visit = Visit(service.origin, *opened)
            visit.page.goto(service.origin)
            visit.wait_for_answer()
            expect(visit.page.get_by_test_id("kept-help")).to_be_visible()
            rows = visit.page.get_by_test_id("recommendation").all()[:3]
            ids = [int(row.get_attribute("data-film") or "") for row in rows]
            states = [row.get_by_test_id("opinion-state") for row in rows]
            before = visit.page.evaluate(BOXES)

            for row, state, text in zip(rows, states, ("Liked it", "Not for me", "Liked it"), strict=True):
                button = row.get_by_role("button", name=text)
                button.click()
                expect(button).to_have_attribute("aria-pressed", "true")
                expect(state).to_have_text("Kept")
            rows[2].get_by_role("button", name="Liked it").click()
            expect(states[2]).to_have_text("Watched it?")
            assert visit.page.evaluate(BOXES) == before
            visit.expect_to_fit()
            assert min(visit.contrasts().values()) >= 4.5
            assert visit.complaints == []

            expect_clicks_that_fail_to_be_taken_back(visit, rows[2], states[2])
            expect_the_question_where_nothing_fits(visit)
    with closing(connect(url)) as store:
        ((prediction, feedback),) = store.feedback("recommender", since=0, until=1e12)
    opinions = zip(ids, (True, False, False), strict=True)
    expected = {"watched": [{"film_id": film_id, "liked": liked} for film_id, liked in opinions]}
    assert json.loads(feedback.truth) == expected
    assert WATCH.measure(prediction, feedback.item, Truth.model_validate(expected))["liked"] == pytest.approx(1 / 3)


def test_a_service_without_a_log_asks_for_no_feedback(
    running_service: Running, watched_page: Watched, bundle: Path, tmp_path: Path
) -> None:
    with running_service("recommender", tmp_path, bundle=bundle, prediction_log="off") as service:
        service.wait_for("/readyz")
        with watched_page(service.origin) as opened:
            visit = Visit(service.origin, *opened)
            visit.page.goto(service.origin)
            visit.wait_for_answer()
            assert visit.page.get_by_role("button", name="Liked it").count() == 0
            expect(visit.page.get_by_test_id("kept-help")).to_be_hidden()
