"""The page in a real browser: pictures chosen, dropped, pasted and clicked; answers, doubt, heat and refusals."""

import base64
import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from image_classifier.images import ImageLimits, crop_box, prepare, read_image
from image_classifier.model import Answer, Predictor
from image_classifier.strangers import strangers
from image_classifier.train import Trained

pytestmark = [pytest.mark.slow, pytest.mark.browser]

Running = Callable[..., AbstractContextManager[Any]]
Visiting = Callable[..., AbstractContextManager["Visit"]]
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
LIMITS = ImageLimits()
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
