"""Pictures in the demo: the labels, probabilities, doubts and heat maps of the service, and nothing is sent."""

import base64
import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_page import DESK, PHONE, Visit
from demo_answers import CLOSE, PICTURES, furthest
from picture_files import encoded, noise
from PIL import Image
from playwright.sync_api import Page, expect
from pydantic_core import to_jsonable_python

from image_classifier.models.neighbors import NEAREST, OF_ITS_KIND, Neighbors, unit
from image_classifier.models.novelty import WITHIN, Novelty

pytestmark = [pytest.mark.long, pytest.mark.browser]

Watched = Callable[..., AbstractContextManager[tuple[Page, list[str]]]]
NEAR = 0.02  # where the browser's decoder makes a JPEG smaller otherwise than the service's
# The page's own request, from inside the page.
CLASSIFY = """async ([name, data]) => {
    const body = new FormData();
    body.append("files", new File([Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))], name));
    const response = await fetch("v1/classifications?top_k=5&heat=true", { method: "POST", body });
    return await response.json();
}"""
NOVELTY = """async ([module, table, rules, rows, named]) => {
    const { unfamiliarity } = await import(module);
    const entries = Object.entries(table).map(([name, [shape, values]]) => [name, { shape, values }]);
    return rows.map((row, i) => unfamiliarity(Float32Array.from(row), named[i], Object.fromEntries(entries), rules));
}"""


def photographs() -> list[Path]:
    """Return the photographs of the sample's test part."""
    from image_classifier.data.load import load, split

    return [photo.path for photo in split(load("sample"), split_seed=0).test]


def of_service(predictor: Any, name: str, data: bytes) -> Any:
    from image_classifier.data.images import ImageLimits
    from image_classifier.serving.app import classify_file
    from image_classifier.serving.schemas import Options
    from image_classifier.serving.uploads import Upload

    result, *_ = classify_file(Upload(name, data), Options(heat=True), predictor, ImageLimits())
    return to_jsonable_python(result)


def of_demo(pages: dict[str, Page], name: str, data: bytes) -> Any:
    (result,) = pages[PICTURES].evaluate(CLASSIFY, [name, base64.b64encode(data).decode()])["results"]
    return result


def heat_on_gray(result: Any) -> np.ndarray:
    """Take the heat map out of a result; return it as it looks on gray."""
    drawn = base64.b64decode(result.pop("heat").partition(",")[2])
    channels = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGBA"), dtype=float)
    opacity = channels[..., 3:] / 255
    return channels[..., :3] * opacity + 128 * (1 - opacity)


@pytest.fixture(scope="module")
def predictor(bundles: Path) -> Any:
    from image_classifier.models.predictor import Predictor

    return Predictor.load(bundles / PICTURES)


def test_equal_pixels_have_equal_answers(pages: dict[str, Page], predictor: Any) -> None:
    """All test photographs, decoded once by Pillow: probabilities, label sets, doubts, crops and heat maps."""
    paths = photographs()
    assert len(paths) == 75
    for path in paths:
        data = encoded(Image.open(path).convert("RGB"))
        ours, theirs = of_demo(pages, path.name, data), of_service(predictor, path.name, data)
        assert np.abs(heat_on_gray(ours) - heat_on_gray(theirs)).max() <= 4, path
        assert furthest(ours, theirs) < CLOSE, path


def test_photographs_as_they_are_have_the_same_labels(pages: dict[str, Page], predictor: Any) -> None:
    for path in photographs():
        data = path.read_bytes()
        ours, theirs = of_demo(pages, path.name, data), of_service(predictor, path.name, data)
        assert ours["predictions"][0]["label"] == theirs["predictions"][0]["label"], path
        assert furthest(ours["predictions"], theirs["predictions"]) < CLOSE, path


def test_neighbors_count_as_in_the_service(pages: dict[str, Page], site: str) -> None:
    """A fine-tuned network has them, and the small model of these tests has not."""
    random = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    neighbors = Neighbors(draw(9), draw(9, 5), unit(draw(40, 5)), random.integers(0, 2, 40))
    novelty = Novelty(draw(9, 6), draw(40, 6), 0.4, 0.5, neighbors, draw(2, 3), np.abs(draw(2, 3)))
    rows, named = draw(30, 9), random.integers(0, 2, 30)
    stored = io.BytesIO()
    novelty.save(stored)
    stored.seek(0)
    with np.load(stored) as arrays:
        table = {name: [arrays[name].shape, arrays[name].ravel().tolist()] for name in arrays.files}
    rules = {"threshold": 0.4, "power": 0.5, "nearest": NEAREST, "of_its_kind": OF_ITS_KIND, "within": WITHIN}
    given = [f"{site}/{PICTURES}/local/novelty.js", table, rules, rows.tolist(), named.tolist()]
    assert np.allclose(pages[PICTURES].evaluate(NOVELTY, given), novelty.score(rows, named), rtol=1e-4)


def enlarged(width: int, kind: str, **options: Any) -> bytes:
    image = Image.open(photographs()[0]).convert("RGB")
    size = width, round(width * image.height / image.width)
    return encoded(image.resize(size, Image.Resampling.BICUBIC), kind, **options)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(Image.open(photographs()[1]).convert("RGB"), "JPEG", quality=95, exif=exif)


def transparent() -> bytes:
    image = Image.open(photographs()[2]).convert("RGB")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return encoded(image)


FILES: dict[str, tuple[Callable[[], bytes], float]] = {
    "a large PNG": (lambda: enlarged(1600, "PNG"), CLOSE),
    "a JPEG that is read at a half": (lambda: enlarged(1400, "JPEG", quality=90), NEAR),
    "a JPEG that is read at an eighth": (lambda: enlarged(5600, "JPEG", quality=90), NEAR),
    "a photograph on its side": (lambda: turned(6), NEAR),
    "a photograph upside down": (lambda: turned(3), NEAR),
    "a picture that is half transparent": (transparent, CLOSE),
    "noise": (lambda: encoded(noise(301, 200)), CLOSE),
    "a strip": (lambda: encoded(noise(2000, 17)), CLOSE),
    "a tall strip": (lambda: encoded(noise(17, 2000)), CLOSE),
    "a tall picture": (lambda: encoded(noise(200, 701)), CLOSE),
    "a WebP": (lambda: enlarged(500, "WEBP", lossless=True), CLOSE),
    "a GIF": (lambda: encoded(Image.open(photographs()[3]).convert("P"), "GIF"), CLOSE),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_every_kind_have_the_answers_of_the_service(pages: dict[str, Page], predictor: Any, name: str) -> None:
    made, tolerance = FILES[name]
    data = made()
    ours, theirs = of_demo(pages, name, data), of_service(predictor, name, data)
    del ours["heat"], theirs["heat"]
    assert furthest(ours, theirs) < tolerance


def test_a_file_that_is_no_picture_is_refused_in_words(pages: dict[str, Page]) -> None:
    refused = {
        "reads no picture": b"GIF89a, or so it says",
        "each side needs at least 16": encoded(Image.new("RGB", (8, 40))),
    }
    for reason, data in refused.items():
        problem = pages[PICTURES].evaluate(CLASSIFY, ["a.gif", base64.b64encode(data).decode()])
        assert reason in problem["errors"][0]["message"]


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_a_picture_is_answered_on_the_page_and_goes_nowhere(
    watched_page: Watched, site: str, viewport: dict[str, Any]
) -> None:
    with watched_page(site, **viewport) as (page, complaints):
        visit, sent = Visit(site, page, complaints), []
        page.on("request", lambda request: sent.append(request.post_data_buffer) if request.method != "GET" else None)
        page.goto(f"{site}/{PICTURES}/")
        page.get_by_test_id("example").first.click()
        expect(page.get_by_test_id("bars")).to_be_visible(timeout=60_000)
        page.get_by_test_id("files").set_input_files(photographs()[5])
        expect(page.get_by_test_id("bars")).to_have_count(2)
        page.get_by_test_id("heat").check(force=True)
        expect(page.locator(".heat").first).to_have_css("opacity", "1")
        expect(page.get_by_test_id("feedback")).to_have_count(0)
        expect(page.get_by_test_id("demo-notice")).to_contain_text("not sent anywhere")
        visit.expect_to_fit()
        assert min(visit.contrasts().values()) >= 4.5
        assert sent == []
        assert complaints == []
