"""The page in a real browser: pictures chosen, dropped, pasted and clicked; answers, doubt, heat and refusals."""

import base64
import io
import re
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from image_classifier.data.images import ImageLimits, crop_box, prepare, read_image
from image_classifier.evaluation.out_of_distribution import strangers
from image_classifier.models.predictor import Answer, Predictor
from image_classifier.train import Trained

pytestmark = [pytest.mark.slow, pytest.mark.browser]

Running = Callable[..., AbstractContextManager[Any]]
Visiting = Callable[..., AbstractContextManager["Visit"]]
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
LIMITS = ImageLimits()
UPLOADS = "**/v1/classifications?*"
EXAMPLES = "**/v1/examples/*"
FILES = """(files) => {
    const held = new DataTransfer();
    for (const { name, mimeType, data } of files) {
        const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        held.items.add(new File([bytes], name, { type: mimeType }));
    }
    return held;
}"""


@dataclass(frozen=True)
class Upload:
    """A file as a person has it."""

    name: str
    data: bytes
    kind: str = "image/jpeg"

    def payload(self) -> dict[str, Any]:
        return {"name": self.name, "mimeType": self.kind, "buffer": self.data}


@pytest.fixture(scope="module")
def service(running_service: Running, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running_service("image-classifier", tmp_path_factory.mktemp("service"), bundle=bundle) as service:
        service.wait_for("/readyz")
        yield service


@dataclass
class Visit:
    """A page, and what it did behind the reader's back."""

    page: Page
    origin: str
    complaints: list[str]

    def open(self) -> None:
        self.page.goto(f"{self.origin}/")
        expect(self.page.get_by_test_id("labels")).not_to_be_empty()

    def choose(self, *uploads: Upload) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_text("Choose pictures").click()
        chooser.value.set_files([upload.payload() for upload in uploads])

    def held(self, *uploads: Upload) -> Any:
        """Return a DataTransfer that holds files, as a drag and a clipboard do."""
        files = [
            {"name": one.name, "mimeType": one.kind, "data": base64.b64encode(one.data).decode("ascii")}
            for one in uploads
        ]
        return self.page.evaluate_handle(FILES, files)

    def drop(self, *uploads: Upload) -> None:
        target = self.page.get_by_test_id("drop")
        held = self.held(*uploads)
        target.dispatch_event("dragover", {"dataTransfer": held})
        expect(target).to_have_attribute("data-over", "true")
        target.dispatch_event("drop", {"dataTransfer": held})
        expect(target).not_to_have_attribute("data-over", "true")

    def paste(self, *uploads: Upload) -> None:
        self.page.evaluate(
            "(held) => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: held, bubbles: true }))",
            self.held(*uploads),
        )

    def answers(self, n: int) -> list[Locator]:
        """Wait until there are so many answers, and nothing is waited for."""
        rows = self.page.get_by_test_id("answer")
        expect(rows).to_have_count(n)
        expect(self.page.get_by_test_id("region")).to_have_attribute("data-state", "ready", timeout=15_000)
        return rows.all()


@dataclass
class Gate:
    """Holds requests between the page and the service until the test lets them go."""

    page: Page
    pattern: str
    waiting: list[Route] = field(default_factory=list)
    passed: int = 0

    def __enter__(self) -> Self:
        self.page.route(self.pattern, self.hold)
        return self

    def __exit__(self, *_: object) -> None:
        self.page.unroute(self.pattern)

    def hold(self, route: Route) -> None:
        self.waiting.append(route)

    def expect_waiting(self, n: int) -> None:
        """Wait until so many requests are held, and then a while for one too many."""
        for _ in range(100):
            if len(self.waiting) >= n:
                break
            self.page.wait_for_timeout(50)
        self.page.wait_for_timeout(300)
        assert len(self.waiting) == n

    def release(self, n: int = 1) -> None:
        for route in self.waiting[:n]:
            route.continue_()
            self.passed += 1
        del self.waiting[:n]


def problem(status: int, detail: str, **headers: str) -> dict[str, Any]:
    """Return what `Route.fulfill` takes to answer as the service does when it refuses."""
    return {
        "status": status,
        "headers": {"Content-Type": "application/problem+json", **headers},
        "json": {"type": "about:blank", "title": "Refused", "status": status, "detail": detail},
    }


@pytest.fixture(scope="module")
def visiting(watched_page: Callable[..., AbstractContextManager[tuple[Page, list[str]]]]) -> Visiting:
    @contextmanager
    def visiting(origin: str, **options: Any) -> Iterator[Visit]:
        with watched_page(origin, **options) as (page, complaints):
            yield Visit(page, origin, complaints)

    return visiting


@pytest.fixture
def visit(visiting: Visiting, service: Any) -> Iterator[Visit]:
    with visiting(service.origin, viewport={"width": 1280, "height": 900}) as visit:
        yield visit


@pytest.fixture(scope="module")
def uploads(trained: Trained) -> list[Upload]:
    """Return drawn flowers of the test split, those that the model is surest of first."""
    order = np.argsort(-trained.evaluation.probabilities.max(axis=1), kind="stable")
    photos = [trained.splits.test[i] for i in order if trained.evaluation.answers[i].unsure is None]
    return [Upload(photo.path.name, photo.path.read_bytes()) for photo in photos[:4]]


@pytest.fixture(scope="module")
def stranger(predictor: Predictor) -> Upload:
    """Return a picture of none of the classes that the model calls unfamiliar."""
    for one in strangers(each=2):
        stream = io.BytesIO()
        one.image.save(stream, "PNG")
        if expected(predictor, stream.getvalue()).unsure == "unfamiliar":
            return Upload("stranger.png", stream.getvalue(), "image/png")
    pytest.fail("the model is familiar with everything")


def bomb() -> Upload:
    """A picture of 3.6 thousand million pixels in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1_000_000))) + chunk(b"IEND", b"")
    return Upload("bomb.png", data, "image/png")


def expected(predictor: Predictor, data: bytes) -> Answer:
    (answer,) = predictor.predict([prepare(data, predictor.preprocessing, limits=LIMITS)])
    return answer


def percent(share: float) -> str:
    """Return a probability as the page writes it."""
    if 0 < share < 0.01:
        return "<1%"
    return ">99%" if 0.99 < share < 1 else f"{int(100 * share + 0.5)}%"


def expect_answer(row: Locator, predictor: Predictor, upload: Upload) -> None:
    """Check name, bars and label set against what the model says of the same bytes."""
    answer = expected(predictor, upload.data)
    order = np.argsort(-answer.probabilities, kind="stable")[:5]
    labels = [predictor.labels[label] for label in order]
    unsure = {None: labels[0], "ambiguous": f"Not sure: {labels[0]}?", "unfamiliar": "Not sure: none of these?"}
    expect(row.get_by_test_id("title")).to_have_text(unsure[answer.unsure])
    expect(row.locator(".file")).to_have_text(upload.name)
    bars = row.get_by_test_id("bars")
    assert bars.locator("dt").all_inner_texts() == labels
    assert bars.locator("dd.number").all_inner_texts() == [percent(answer.probabilities[label]) for label in order]
    widths = bars.locator(".bar").evaluate_all(
        "bars => bars.map((bar) => parseFloat(bar.style.getPropertyValue('--share')))"
    )
    assert widths == pytest.approx(100 * answer.probabilities[order], abs=0.01)
    if answer.unsure != "unfamiliar":
        told = row.get_by_test_id("label-set").inner_text()
        if len(answer.label_set) > 1:
            assert [predictor.labels[label] for label in answer.label_set] == re.findall(
                r"[\w-]+(?=[,.])", told.split(":")[1]
            )
        else:
            assert told.startswith("The only label")


def test_a_picture_is_chosen_and_answered(visit: Visit, predictor: Predictor, uploads: list[Upload]) -> None:
    visit.open()
    expect(visit.page.get_by_test_id("region")).to_have_attribute("data-state", "empty")
    visit.choose(uploads[0])

    (row,) = visit.answers(1)
    expect_answer(row, predictor, uploads[0])
    expect(row.locator(".preview")).to_be_visible()
    title = row.get_by_test_id("title").inner_text()
    expect(visit.page.get_by_test_id("announcement")).to_contain_text(f"{uploads[0].name}: {title}")
    assert visit.complaints == []


def test_pictures_are_dropped_and_answered_in_their_order(
    visit: Visit, predictor: Predictor, uploads: list[Upload]
) -> None:
    visit.open()
    visit.drop(*uploads[:3])
    for row, upload in zip(visit.answers(3), uploads, strict=False):
        expect_answer(row, predictor, upload)

    visit.drop(uploads[3])
    expect_answer(visit.answers(4)[0], predictor, uploads[3])  # the newest first
    visit.page.get_by_test_id("clear").click()
    expect(visit.page.get_by_test_id("answer")).to_have_count(0)
    expect(visit.page.get_by_test_id("region")).to_have_attribute("data-state", "empty")
    assert visit.complaints == []


def test_a_picture_is_pasted(visit: Visit, predictor: Predictor, uploads: list[Upload]) -> None:
    visit.open()
    visit.paste(uploads[1])

    expect_answer(visit.answers(1)[0], predictor, uploads[1])


def test_the_same_file_can_be_chosen_again(visit: Visit, predictor: Predictor, uploads: list[Upload]) -> None:
    visit.open()
    visit.choose(uploads[0])
    visit.answers(1)
    visit.choose(uploads[0])
    for row in visit.answers(2):
        expect_answer(row, predictor, uploads[0])


def test_doubt_is_said_plainly(visit: Visit, predictor: Predictor, stranger: Upload) -> None:
    visit.open()
    visit.choose(stranger)

    (row,) = visit.answers(1)
    expect_answer(row, predictor, stranger)
    expect(row.get_by_test_id("unsure")).to_contain_text("unlike those the model has learned from")
    assert row.get_by_test_id("label-set").count() == 0


def fractal(width: int, height: int) -> Upload:
    stream = io.BytesIO()
    Image.effect_mandelbrot((width, height), (-2, -1, 1, 1), 60).convert("RGB").save(stream, "JPEG")
    return Upload("fractal.jpg", stream.getvalue())


@pytest.mark.parametrize("size", [(400, 200), (200, 400), (64, 64)], ids=["wide", "tall", "small"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_heat_map_lies_over_what_the_model_saw(
    *, visiting: Visiting, service: Any, predictor: Predictor, width: int, size: tuple[int, int]
) -> None:
    upload = fractal(*size)
    with visiting(service.origin, viewport={"width": width, "height": 844}) as visit:
        visit.open()
        visit.choose(upload)
        (row,) = visit.answers(1)
        row.locator(".heat").scroll_into_view_if_needed()
        box, whole = row.locator(".heat").bounding_box(), row.locator(".preview").bounding_box()
    crop = crop_box(read_image(upload.data, limits=LIMITS).size, predictor.preprocessing)
    # The whole picture is shown in its own shape, so fractions of it are fractions of what is seen.
    assert whole["width"] / whole["height"] == pytest.approx(size[0] / size[1], rel=0.02)
    assert whole["height"] <= 26 * 16 + 1
    assert (box["x"] - whole["x"]) / whole["width"] == pytest.approx(crop.left, abs=0.01)
    assert (box["y"] - whole["y"]) / whole["height"] == pytest.approx(crop.top, abs=0.01)
    assert box["width"] / whole["width"] == pytest.approx(crop.width, abs=0.01)
    assert box["height"] / whole["height"] == pytest.approx(crop.height, abs=0.01)


def test_the_heat_map_is_switched(visit: Visit) -> None:
    visit.open()
    switch = visit.page.get_by_test_id("heat")
    expect(switch).to_be_hidden()
    visit.choose(fractal(300, 200))
    (row,) = visit.answers(1)
    heat = row.locator(".heat")
    expect(heat).to_have_attribute("src", re.compile("^data:image/png;base64,"))
    expect(heat).to_have_css("opacity", "0")
    switch.focus()
    visit.page.keyboard.press("Space")
    expect(switch).to_be_checked()
    expect(heat).to_have_css("opacity", "1")
    switch.uncheck()
    expect(heat).to_have_css("opacity", "0")
    assert visit.complaints == []


def test_an_example_is_clicked_and_answered(visit: Visit, predictor: Predictor) -> None:
    visit.open()
    examples = visit.page.get_by_test_id("example")
    expect(examples).to_have_count(5)
    examples.nth(1).click()
    expect_answer(visit.answers(1)[0], predictor, Upload("picture-2", predictor.examples["picture-2"]))
    examples.nth(2).focus()
    visit.page.keyboard.press("Enter")
    expect_answer(visit.answers(2)[0], predictor, Upload("picture-3", predictor.examples["picture-3"]))
    assert visit.complaints == []


def test_a_bomb_and_a_text_have_a_friendly_error_and_the_picture_between_them_an_answer(
    visit: Visit, predictor: Predictor, uploads: list[Upload]
) -> None:
    visit.open()
    visit.choose(bomb(), uploads[0], Upload("notes.jpg", b"Dear diary, <b>today</b>"))

    first, good, last = visit.answers(3)
    expect_answer(good, predictor, uploads[0])
    for row, words in ((first, "60,000 x 60,000|pixels"), (last, "JPEG, PNG, WebP or GIF|picture")):
        error = row.get_by_test_id("file-error")
        expect(error).to_contain_text("This file was not classified.")
        expect(error).to_contain_text(re.compile(words))
        assert row.get_by_test_id("title").count() == 0
        expect(row.locator(".no-preview")).to_be_visible()
    assert all(re.search("413|415", complaint) for complaint in visit.complaints)


def test_too_many_pictures_are_said_and_the_first_ones_answered(
    running_service: Running, visiting: Visiting, bundle: Path, uploads: list[Upload], tmp_path: Path
) -> None:
    """The page takes the limit from the service."""
    with running_service("image-classifier", tmp_path, bundle=bundle, max_files=2) as service:
        service.wait_for("/readyz")
        with visiting(service.origin) as visit:
            visit.open()
            visit.choose(*uploads[:3])
            visit.answers(2)
            expect(visit.page.get_by_test_id("failure")).to_contain_text("The first 2 of 3 are classified.")
            assert visit.complaints == []


def test_other_classes_are_shown_with_no_change_of_code(
    running_service: Running, visiting: Visiting, pets_bundle: Path, uploads: list[Upload], tmp_path: Path
) -> None:
    with running_service("image-classifier", tmp_path, bundle=pets_bundle) as service:
        service.wait_for("/readyz")
        with visiting(service.origin) as visit:
            visit.open()
            expect(visit.page.get_by_test_id("labels")).to_have_text("cat, dog.")
            expect(visit.page.get_by_test_id("example")).to_have_count(2)
            visit.choose(uploads[0])
            (row,) = visit.answers(1)
            assert sorted(row.get_by_test_id("bars").locator("dt").all_inner_texts()) == ["cat", "dog"]
            assert not re.search("daisy|tulip", visit.page.locator("main").inner_text())
            assert visit.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(
    *, visiting: Visiting, service: Any, uploads: list[Upload], stranger: Upload, scheme: Any
) -> None:
    long = Upload("a" * 150 + ".jpg", uploads[0].data)
    with visiting(service.origin, color_scheme=scheme, **PHONE) as visit:
        visit.open()
        expect(visit.page.get_by_text("Take a photograph")).to_be_visible()
        visit.choose(long, stranger, Upload("notes.jpg", b"Dear diary"))
        visit.answers(3)
        visit.page.get_by_test_id("heat").check()

        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
        outside = visit.page.evaluate(
            """[...document.querySelectorAll("body *")].filter((node) => {
                const box = node.getBoundingClientRect();
                return box.width > 0 && box.right > 391 && !node.closest(".visually-hidden, .picture");
            }).map((node) => node.id || node.className)"""
        )
        assert outside == []
        light = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        red = int(re.findall(r"\d+", light)[0])
        assert red > 200 if scheme == "light" else red < 60
        assert all("415" in complaint for complaint in visit.complaints)


def test_the_page_says_which_model_and_which_data_answered(visit: Visit, trained: Trained) -> None:
    visit.open()

    badge = visit.page.get_by_test_id("model-badge")
    expect(badge).to_contain_text("image-classifier version")
    expect(badge).to_contain_text(f"{trained.evaluation.metrics['accuracy'].estimate:.0%}")
    expect(badge).to_contain_text(trained.photos.name)
    expect(visit.page.get_by_test_id("labels")).to_have_text(f"{', '.join(trained.photos.labels)}.")
    expect(visit.page.get_by_test_id("limits")).to_contain_text("up to 10 MB each, 32 at a time")
    # Somebody's own pictures are no generated sample.
    expect(visit.page.get_by_test_id("sample-notice")).to_be_hidden()


# What stops, waits or fails


def test_clear_stops_what_is_under_way_and_a_new_picture_starts_afresh(
    visit: Visit, predictor: Predictor, uploads: list[Upload]
) -> None:
    page = visit.page
    stopped: list[str | None] = []
    page.on("requestfailed", lambda request: stopped.append(request.failure))
    region = page.get_by_test_id("region")
    visit.open()
    with Gate(page, UPLOADS) as gate:
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
    expect_answer(row, predictor, uploads[3])
    expect(page.get_by_test_id("announcement")).to_contain_text(uploads[3].name)
    assert visit.complaints == []


def test_clear_takes_back_an_answer_that_was_about_to_be_read(visit: Visit, uploads: list[Upload]) -> None:
    visit.open()
    visit.choose(uploads[0])
    visit.answers(1)
    visit.page.get_by_test_id("clear").click()
    visit.page.wait_for_timeout(1500)  # answers are announced a second late

    expect(visit.page.get_by_test_id("announcement")).to_have_text("Cleared.")


def test_clear_stops_an_example(visit: Visit, uploads: list[Upload]) -> None:
    visit.open()
    visit.choose(uploads[0])
    visit.answers(1)
    with Gate(visit.page, EXAMPLES) as gate:
        visit.page.get_by_test_id("example").first.click()
        gate.expect_waiting(1)
        visit.page.get_by_test_id("clear").click()
        gate.waiting.clear()
    visit.page.wait_for_timeout(300)
    expect(visit.page.get_by_test_id("region")).to_have_attribute("data-state", "empty")
    expect(visit.page.get_by_test_id("failure")).to_be_hidden()
    assert visit.complaints == []


def test_an_example_that_cannot_be_loaded_is_said_and_not_classified(visit: Visit, predictor: Predictor) -> None:
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
    expect_answer(visit.answers(1)[0], predictor, Upload("picture-1", predictor.examples["picture-1"]))
    expect(failure).to_be_hidden()


def test_a_phone_shows_why_an_example_cannot_be_loaded(visiting: Visiting, service: Any) -> None:
    with visiting(service.origin, **PHONE) as visit:
        visit.open()
        visit.page.route(EXAMPLES, lambda route: route.abort("connectionrefused"))
        visit.page.get_by_test_id("example").first.tap()
        expect(visit.page.get_by_test_id("failure")).to_be_in_viewport()


def test_everything_works_behind_the_prefix_of_a_proxy(
    visiting: Visiting, service: Any, predictor: Predictor, uploads: list[Upload]
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

    with visiting(service.origin, viewport={"width": 1280, "height": 900}) as visit:
        visit.page.route(f"{service.origin}/**", proxy)
        visit.origin += "/flowers"
        visit.open()
        examples = visit.page.get_by_test_id("example")
        expect(examples).to_have_count(5)
        for picture in examples.locator("img").all():
            expect(picture).to_have_js_property("naturalWidth", 64)
        examples.nth(1).click()
        expect_answer(visit.answers(1)[0], predictor, Upload("picture-2", predictor.examples["picture-2"]))
        visit.choose(uploads[0])
        expect_answer(visit.answers(2)[0], predictor, uploads[0])
        assert outside == []
        assert visit.complaints == []


def test_two_pictures_are_sent_at_a_time_however_they_come(
    visit: Visit, predictor: Predictor, uploads: list[Upload]
) -> None:
    visit.open()
    with Gate(visit.page, UPLOADS) as gate:
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
        expect_answer(row, predictor, upload)
    assert visit.complaints == []


def test_a_busy_service_is_asked_again_when_it_says(visit: Visit, predictor: Predictor, uploads: list[Upload]) -> None:
    asked: list[float] = []

    def busy_twice(route: Route) -> None:
        asked.append(time.monotonic())
        if len(asked) > 2:
            return route.continue_()
        return route.fulfill(**problem(429, "The service already answers 8 requests.", **{"Retry-After": "3"}))

    visit.page.route(UPLOADS, busy_twice)
    visit.open()
    visit.choose(uploads[0])
    expect(visit.page.get_by_test_id("answer")).to_contain_text("The service is busy. Trying again in 3 s.")
    (row,) = visit.answers(1)
    expect_answer(row, predictor, uploads[0])
    assert len(asked) == 3
    assert min(np.diff(asked)) >= 2.9


def test_a_service_that_stays_busy_is_given_up_in_plain_words_and_the_next_picture_answered(
    visit: Visit, predictor: Predictor, uploads: list[Upload]
) -> None:
    asked: list[float] = []

    def busy(route: Route) -> None:
        asked.append(time.monotonic())
        route.fulfill(**problem(429, "The service already answers 8 requests.", **{"Retry-After": "1"}))

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
    expect_answer(visit.answers(2)[0], predictor, uploads[1])


def test_nobody_is_kept_waiting_for_minutes(visit: Visit, uploads: list[Upload]) -> None:
    refusal = problem(429, "Full.", **{"Retry-After": "600"})
    visit.page.route(UPLOADS, lambda route: route.fulfill(**refusal))
    visit.open()
    visit.choose(uploads[0])

    expect(visit.answers(1)[0].get_by_test_id("file-error")).to_contain_text("Try again in 600 seconds.")


def test_a_drop_and_a_paste_without_a_picture_are_said(visit: Visit) -> None:
    failure = visit.page.get_by_test_id("failure")
    visit.open()
    visit.drop()
    expect(failure).to_contain_text("That was no picture. Drop a file")
    visit.paste()
    expect(failure).to_contain_text("That was no picture. The clipboard holds no picture.")
    expect(visit.page.get_by_test_id("answer")).to_have_count(0)
    assert visit.complaints == []


def test_a_file_that_is_gone_or_too_large_is_said_before_it_is_sent(
    visit: Visit, predictor: Predictor, uploads: list[Upload], tmp_path: Path
) -> None:
    gone, large, good = tmp_path / "gone.jpg", tmp_path / "large.jpg", tmp_path / "good.jpg"
    for path in (gone, good):
        path.write_bytes(uploads[0].data)
    large.write_bytes(uploads[0].data + bytes(10_400_000 - len(uploads[0].data)))
    visit.open()
    with Gate(visit.page, UPLOADS) as gate:
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
    expect_answer(third, predictor, Upload("good.jpg", uploads[0].data))


def test_no_answer_and_a_strange_answer_are_said_and_the_next_picture_answered(
    visit: Visit, predictor: Predictor, uploads: list[Upload]
) -> None:
    visit.open()
    visit.page.route(UPLOADS, lambda route: route.fulfill(json={"results": []}))
    visit.choose(uploads[0])
    strange = visit.answers(1)[0].get_by_test_id("file-error")
    expect(strange).to_contain_text("Something went wrong.")
    visit.page.unroute(UPLOADS)
    visit.page.route(UPLOADS, lambda route: route.abort("connectionreset"))
    visit.choose(uploads[0])
    expect(visit.answers(2)[0].get_by_test_id("file-error")).to_contain_text("The service cannot be reached.")
    visit.page.unroute(UPLOADS)
    visit.choose(uploads[0])
    expect_answer(visit.answers(3)[0], predictor, uploads[0])
