"""The picture page in a real browser: what stops, waits or fails."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from browser_page import DESK, PHONE
from playwright.sync_api import Route, expect

from image_classifier.models.predictor import Predictor

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.browser]

PictureVisit = Any  # of conftest.py, as all fixtures here
Upload = dict[str, Any]  # name, mimeType and buffer, as Playwright wants a file
Visiting = Callable[..., AbstractContextManager[PictureVisit]]
UPLOADS = "**/v1/classifications?*"
EXAMPLES = "**/v1/examples/*"


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Return what `Route.fulfill` takes to refuse as the service does."""
    body = {"type": "about:blank", "title": "Refused", "status": status, "detail": detail}
    return {"status": status, "headers": {"Content-Type": "application/problem+json", **(headers or {})}, "json": body}


def jpeg(name: str, data: bytes) -> Upload:
    return {"name": name, "mimeType": "image/jpeg", "buffer": data}


def test_clear_stops_what_is_under_way_and_a_new_picture_starts_afresh(
    visit: PictureVisit, uploads: list[Upload]
) -> None:
    page = visit.page
    stopped: list[str | None] = []
    page.on("requestfailed", lambda request: stopped.append(request.failure))
    region = page.get_by_test_id("region")
    visit.open()
    with visit.hold(UPLOADS) as gate:
        visit.choose(*uploads[:3])
        gate.expect_waiting(2)
        expect(region).to_have_attribute("data-state", "loading")
        page.get_by_test_id("clear").click()
        expect(region).to_have_attribute("data-state", "empty")
        page.wait_for_timeout(300)
        assert stopped == ["net::ERR_ABORTED"] * 2
        gate.waiting.clear()  # nobody waits for these any more
        gate.expect_waiting(0)  # and the third is never sent
        expect(page.get_by_test_id("announcement")).to_have_text("Cleared.")

    visit.choose(uploads[3])
    (row,) = visit.answers(1)
    visit.expect_answer(row, uploads[3])
    expect(page.get_by_test_id("announcement")).to_contain_text(uploads[3]["name"])
    assert visit.complaints == []


def test_clear_takes_back_an_answer_that_was_about_to_be_read(visit: PictureVisit, uploads: list[Upload]) -> None:
    visit.open()
    visit.choose(uploads[0])
    visit.answers(1)
    visit.page.get_by_test_id("clear").click()
    visit.page.wait_for_timeout(1500)  # answers are announced a second late

    expect(visit.page.get_by_test_id("announcement")).to_have_text("Cleared.")


def test_clear_stops_an_example(visit: PictureVisit, uploads: list[Upload]) -> None:
    visit.open()
    visit.choose(uploads[0])
    visit.answers(1)
    with visit.hold(EXAMPLES) as gate:
        visit.page.get_by_test_id("example").first.click()
        gate.expect_waiting(1)
        visit.page.get_by_test_id("clear").click()
        gate.waiting.clear()
    visit.page.wait_for_timeout(300)
    expect(visit.page.get_by_test_id("region")).to_have_attribute("data-state", "empty")
    expect(visit.page.get_by_test_id("failure")).to_be_hidden()
    assert visit.complaints == []


def test_an_example_that_cannot_be_loaded_is_named_and_not_classified(
    visit: PictureVisit, predictor: Predictor
) -> None:
    page = visit.page
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "classifications" in request.url else None)
    failure = page.get_by_test_id("failure")
    visit.open()
    example = page.get_by_test_id("example").first

    page.route(EXAMPLES, lambda route: route.fulfill(**problem(503, "No model is loaded.")))
    example.click()
    expect(failure).to_contain_text("This example cannot be loaded. The service answered with status 503.")
    page.unroute(EXAMPLES)
    page.route(EXAMPLES, lambda route: route.abort("connectionrefused"))
    example.click()
    expect(failure).to_contain_text("This example cannot be loaded. The service cannot be reached.")
    page.unroute(EXAMPLES)
    assert sent == []
    expect(page.get_by_test_id("answer")).to_have_count(0)

    example.click()
    visit.expect_answer(visit.answers(1)[0], jpeg("picture-1", predictor.examples["picture-1"]))
    expect(failure).to_be_hidden()


def test_a_phone_shows_why_an_example_cannot_be_loaded(visiting: Visiting, page_service: Any) -> None:
    with visiting(page_service.origin, **PHONE) as visit:
        visit.open()
        visit.page.route(EXAMPLES, lambda route: route.abort("connectionrefused"))
        visit.page.get_by_test_id("example").first.tap()
        expect(visit.page.get_by_test_id("failure")).to_be_in_viewport()


def test_everything_works_behind_the_prefix_of_a_proxy(
    visiting: Visiting, page_service: Any, predictor: Predictor, uploads: list[Upload]
) -> None:
    """The proxy cuts its prefix off; whatever the page asks without it is somebody else's."""
    outside: list[str] = []

    def proxy(route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path.startswith("/flowers/"):
            route.continue_(url=route.request.url.replace("/flowers/", "/", 1))
        else:
            outside.append(path)
            route.fulfill(status=404)

    with visiting(page_service.origin, **DESK) as visit:
        visit.page.route(f"{page_service.origin}/**", proxy)
        visit.origin += "/flowers"
        visit.open()
        examples = visit.page.get_by_test_id("example")
        expect(examples).to_have_count(5)
        for picture in examples.locator("img").all():
            expect(picture).to_have_js_property("complete", True)
            assert picture.evaluate("picture => picture.naturalWidth") > 0
        examples.nth(1).click()
        visit.expect_answer(visit.answers(1)[0], jpeg("picture-2", predictor.examples["picture-2"]))
        visit.choose(uploads[0])
        visit.expect_answer(visit.answers(2)[0], uploads[0])
        assert outside == []
        assert visit.complaints == []


def test_two_pictures_are_sent_at_a_time_however_they_come(visit: PictureVisit, uploads: list[Upload]) -> None:
    visit.open()
    with visit.hold(UPLOADS) as gate:
        visit.choose(*uploads[:3])
        visit.drop(uploads[3])
        visit.paste(uploads[0])
        for waiting in (2, 2, 2, 2, 1):
            gate.expect_waiting(waiting)
            gate.release()
        assert gate.passed == 5
    shown = visit.answers(5)
    order = [uploads[0], uploads[3], *uploads[:3]]  # the newest first
    for row, upload in zip(shown, order, strict=True):
        visit.expect_answer(row, upload)
    assert visit.complaints == []


def test_a_busy_service_is_asked_again_after_the_time_that_it_names(visit: PictureVisit, uploads: list[Upload]) -> None:
    asked: list[float] = []

    def busy_twice(route: Route) -> None:
        asked.append(time.monotonic())
        if len(asked) > 2:
            return route.continue_()
        return route.fulfill(**problem(429, "The service already answers 8 requests.", {"Retry-After": "3"}))

    visit.page.route(UPLOADS, busy_twice)
    visit.open()
    visit.choose(uploads[0])
    expect(visit.page.get_by_test_id("answer")).to_contain_text("The service is busy. Trying again in 3 s.")
    (row,) = visit.answers(1)
    visit.expect_answer(row, uploads[0])
    assert len(asked) == 3
    assert min(np.diff(asked)) >= 2.9


def test_a_service_that_stays_busy_is_given_up_in_plain_words_and_the_next_picture_answered(
    visit: PictureVisit, uploads: list[Upload]
) -> None:
    asked: list[float] = []

    def busy(route: Route) -> None:
        asked.append(time.monotonic())
        route.fulfill(**problem(429, "The service already answers 8 requests.", {"Retry-After": "1"}))

    visit.page.route(UPLOADS, busy)
    visit.open()
    visit.choose(uploads[0])
    error = visit.answers(1)[0].get_by_test_id("file-error")
    expect(error).to_have_text(
        "The service is busy. It answers many others just now. Try again in a minute.", use_inner_text=True
    )
    assert len(asked) == 4
    assert np.diff(asked) == pytest.approx([1, 2, 4], abs=0.9)  # longer each time

    visit.page.unroute(UPLOADS)
    visit.choose(uploads[1])
    visit.expect_answer(visit.answers(2)[0], uploads[1])


def test_nobody_is_kept_waiting_for_minutes(visit: PictureVisit, uploads: list[Upload]) -> None:
    refusal = problem(429, "Full.", {"Retry-After": "600"})
    visit.page.route(UPLOADS, lambda route: route.fulfill(**refusal))
    visit.open()
    visit.choose(uploads[0])

    expect(visit.answers(1)[0].get_by_test_id("file-error")).to_contain_text("Try again in 600 seconds.")


def test_a_drop_and_a_paste_without_a_picture_are_refused(visit: PictureVisit) -> None:
    failure = visit.page.get_by_test_id("failure")
    visit.open()
    visit.drop()
    expect(failure).to_contain_text("That was no picture. Drop a file")
    visit.paste()
    expect(failure).to_contain_text("That was no picture. The clipboard holds no picture.")
    expect(visit.page.get_by_test_id("answer")).to_have_count(0)
    assert visit.complaints == []


def test_a_file_that_is_gone_or_too_large_is_refused_before_it_is_sent(
    visit: PictureVisit, uploads: list[Upload], tmp_path: Path
) -> None:
    gone, large, good = tmp_path / "gone.jpg", tmp_path / "large.jpg", tmp_path / "good.jpg"
    for path in (gone, good):
        path.write_bytes(uploads[0]["buffer"])
    large.write_bytes(uploads[0]["buffer"] + bytes(10_400_000 - len(uploads[0]["buffer"])))
    visit.open()
    with visit.hold(UPLOADS) as gate:
        visit.choose(*uploads[1:3])
        gate.expect_waiting(2)
        visit.page.get_by_test_id("files").set_input_files([gone, large, good])
        expect(visit.page.get_by_test_id("answer")).to_have_count(5)
        gone.unlink()
        gate.release(2)
        gate.expect_waiting(1)  # the good one
        gate.release()
    first, second, third, *_ = visit.answers(5)
    expect(first.get_by_test_id("file-error")).to_contain_text("The browser cannot read it")
    expect(second.get_by_test_id("file-error")).to_contain_text("It has 10.4 MB. Files of up to 10 MB are read.")
    visit.expect_answer(third, jpeg("good.jpg", uploads[0]["buffer"]))


def test_no_answer_and_a_malformed_answer_are_shown_and_the_next_picture_answered(
    visit: PictureVisit, uploads: list[Upload]
) -> None:
    visit.open()
    visit.page.route(UPLOADS, lambda route: route.fulfill(json={"results": []}))
    visit.choose(uploads[0])
    malformed = visit.answers(1)[0].get_by_test_id("file-error")
    expect(malformed).to_contain_text("Something went wrong.")
    visit.page.unroute(UPLOADS)
    visit.page.route(UPLOADS, lambda route: route.abort("connectionreset"))
    visit.choose(uploads[0])
    expect(visit.answers(2)[0].get_by_test_id("file-error")).to_contain_text("The service cannot be reached.")
    visit.page.unroute(UPLOADS)
    visit.choose(uploads[0])
    visit.expect_answer(visit.answers(3)[0], uploads[0])
