"""The picture page in a real browser: pictures chosen, dropped, pasted and clicked; answers, doubt and heat.

What every page promises is in tests/test_pages.py.
"""

import io
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from browser_page import PHONE
from picture_files import png
from PIL import Image
from playwright.sync_api import expect

from image_classifier.data.images import ImageLimits, read_image
from image_classifier.data.preprocessing import crop_box
from image_classifier.models.predictor import Predictor

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PictureVisit = Any  # of conftest.py, as all fixtures here
Upload = dict[str, Any]  # name, mimeType and buffer, as Playwright wants a file
Running = Callable[..., AbstractContextManager[Any]]
Visiting = Callable[..., AbstractContextManager[PictureVisit]]


def jpeg(name: str, data: bytes) -> Upload:
    return {"name": name, "mimeType": "image/jpeg", "buffer": data}


def fractal(width: int, height: int) -> Upload:
    stream = io.BytesIO()
    Image.effect_mandelbrot((width, height), (-2, -1, 1, 1), 60).convert("RGB").save(stream, "JPEG")
    return jpeg("fractal.jpg", stream.getvalue())


def test_a_picture_is_chosen_and_answered(visit: PictureVisit, uploads: list[Upload]) -> None:
    visit.open()
    expect(visit.page.get_by_test_id("region")).to_have_attribute("data-state", "empty")
    visit.choose(uploads[0])

    (row,) = visit.answers(1)
    visit.expect_answer(row, uploads[0])
    expect(row.locator(".preview")).to_be_visible()
    title = row.get_by_test_id("title").inner_text()
    expect(visit.page.get_by_test_id("announcement")).to_contain_text(f"{uploads[0]['name']}: {title}")
    assert visit.complaints == []


def test_pictures_are_dropped_and_answered_in_their_order(visit: PictureVisit, uploads: list[Upload]) -> None:
    visit.open()
    visit.drop(*uploads[:3])
    for row, upload in zip(visit.answers(3), uploads, strict=False):
        visit.expect_answer(row, upload)

    visit.drop(uploads[3])
    visit.expect_answer(visit.answers(4)[0], uploads[3])  # the newest first
    visit.page.get_by_test_id("clear").click()
    expect(visit.page.get_by_test_id("answer")).to_have_count(0)
    expect(visit.page.get_by_test_id("region")).to_have_attribute("data-state", "empty")
    assert visit.complaints == []


def test_a_picture_is_pasted(visit: PictureVisit, uploads: list[Upload]) -> None:
    visit.open()
    visit.paste(uploads[1])

    visit.expect_answer(visit.answers(1)[0], uploads[1])


def test_the_same_file_can_be_chosen_again(visit: PictureVisit, uploads: list[Upload]) -> None:
    visit.open()
    visit.choose(uploads[0])
    visit.answers(1)
    visit.choose(uploads[0])
    for row in visit.answers(2):
        visit.expect_answer(row, uploads[0])


def test_doubt_is_shown(visit: PictureVisit, unfamiliar: Upload) -> None:
    visit.open()
    visit.choose(unfamiliar)

    (row,) = visit.answers(1)
    visit.expect_answer(row, unfamiliar)
    expect(row.get_by_test_id("unsure")).to_contain_text("unlike those the model has learned from")
    assert row.get_by_test_id("label-set").count() == 0


@pytest.mark.parametrize("size", [(400, 200), (200, 400), (64, 64)], ids=["wide", "tall", "small"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_heat_map_lies_over_what_the_model_saw(
    *, visiting: Visiting, page_service: Any, predictor: Predictor, width: int, size: tuple[int, int]
) -> None:
    upload = fractal(*size)
    with visiting(page_service.origin, viewport={"width": width, "height": 844}) as visit:
        visit.open()
        visit.choose(upload)
        (row,) = visit.answers(1)
        row.locator(".heat").scroll_into_view_if_needed()
        box, whole = row.locator(".heat").bounding_box(), row.locator(".preview").bounding_box()
    crop = crop_box(read_image(upload["buffer"], limits=ImageLimits()).size, predictor.preprocessing)
    # The whole picture is shown in its own shape, so fractions of it are fractions of what is seen.
    assert whole["width"] / whole["height"] == pytest.approx(size[0] / size[1], rel=0.02)
    assert whole["height"] <= 26 * 16 + 1
    assert (box["x"] - whole["x"]) / whole["width"] == pytest.approx(crop.left, abs=0.01)
    assert (box["y"] - whole["y"]) / whole["height"] == pytest.approx(crop.top, abs=0.01)
    assert box["width"] / whole["width"] == pytest.approx(crop.width, abs=0.01)
    assert box["height"] / whole["height"] == pytest.approx(crop.height, abs=0.01)


def test_the_heat_map_is_switched(visit: PictureVisit) -> None:
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


def test_an_example_is_clicked_and_answered(visit: PictureVisit, predictor: Predictor) -> None:
    visit.open()
    examples = visit.page.get_by_test_id("example")
    expect(examples).to_have_count(5)
    examples.nth(1).click()
    visit.expect_answer(visit.answers(1)[0], jpeg("picture-2", predictor.examples["picture-2"]))
    examples.nth(2).focus()
    visit.page.keyboard.press("Enter")
    visit.expect_answer(visit.answers(2)[0], jpeg("picture-3", predictor.examples["picture-3"]))
    assert visit.complaints == []


def test_a_bomb_and_a_text_are_refused_and_the_picture_between_them_is_answered(
    visit: PictureVisit, uploads: list[Upload]
) -> None:
    bomb = {"name": "bomb.png", "mimeType": "image/png", "buffer": png(60_000, 60_000, bytes(1_000_000))}
    visit.open()
    visit.choose(bomb, uploads[0], jpeg("notes.jpg", b"Dear diary, <b>today</b>"))

    first, good, last = visit.answers(3)
    visit.expect_answer(good, uploads[0])
    for row, words in ((first, "60,000 x 60,000|pixels"), (last, "JPEG, PNG, WebP or GIF|picture")):
        error = row.get_by_test_id("file-error")
        expect(error).to_contain_text("This file was not classified.")
        expect(error).to_contain_text(re.compile(words))
        assert row.get_by_test_id("title").count() == 0
        expect(row.locator(".no-preview")).to_be_visible()
    assert all(re.search("413|415", complaint) for complaint in visit.complaints)


def test_too_many_pictures_are_noted_and_the_first_ones_answered(
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


def test_a_phone_shows_answers_refusals_and_long_names(
    visiting: Visiting, page_service: Any, uploads: list[Upload], unfamiliar: Upload
) -> None:
    with visiting(page_service.origin, **PHONE) as visit:
        visit.open()
        expect(visit.page.get_by_text("Take a photograph")).to_be_visible()
        visit.choose(uploads[0] | {"name": "a" * 150 + ".jpg"}, unfamiliar, jpeg("notes.jpg", b"Dear diary"))
        visit.answers(3)
        visit.page.get_by_test_id("heat").check()

        visit.expect_to_fit()
        assert visit.statuses() == {"415"}


def test_the_page_says_what_it_knows_and_how_well(visit: PictureVisit, bundle: Path, predictor: Predictor) -> None:
    visit.open()

    accuracy = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["metrics"]["accuracy"]
    expect(visit.page.get_by_test_id("model-badge")).to_contain_text(f"{accuracy['estimate']:.0%}")
    expect(visit.page.get_by_test_id("labels")).to_have_text(f"{', '.join(predictor.labels)}.")
    expect(visit.page.get_by_test_id("limits")).to_contain_text("up to 10 MB each, 32 at a time")
