"""A visit of the picture page in a real browser, pictures to give it, and a model whose answers are seen by eye."""

import base64
import io
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
import pytest
from browser_page import DESK, Visit
from onnx import TensorProto, helper
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from image_classifier.config import ServeSettings, TrainConfig
from image_classifier.data.images import ImageLimits, prepare
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.evaluation.out_of_distribution import draw_pictures
from image_classifier.models.novelty import Novelty
from image_classifier.models.predictor import Prediction, Predictor, Rules
from image_classifier.serving.app import create_app
from portfolio_shared.bundle import DataInfo, Manifest, write_bundle

COLOR_SIDE = 32
Upload = dict[str, Any]  # name, mimeType and buffer, as Playwright wants a file
TO_TRANSFER = """(files) => {
    const transfer = new DataTransfer();
    for (const { name, mimeType, buffer } of files) {
        const bytes = Uint8Array.from(atob(buffer), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type: mimeType }));
    }
    return transfer;
}"""


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


@dataclass
class PictureVisit(Visit):
    """What only the picture page has, and what the model says of the same bytes."""

    predictor: Predictor

    def open(self) -> None:
        self.page.goto(f"{self.origin}/")
        expect(self.page.get_by_test_id("labels")).not_to_be_empty()

    def hold(self, pattern: str) -> Gate:
        return Gate(self.page, pattern)

    def choose(self, *uploads: Upload) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_text("Choose pictures").click()
        chooser.value.set_files(list(uploads))

    def transfer(self, *uploads: Upload) -> Any:
        """Return a DataTransfer that holds files, as a drag and a clipboard do."""
        files = [upload | {"buffer": base64.b64encode(upload["buffer"]).decode("ascii")} for upload in uploads]
        return self.page.evaluate_handle(TO_TRANSFER, files)

    def drop(self, *uploads: Upload) -> None:
        target = self.page.get_by_test_id("drop")
        transfer = self.transfer(*uploads)
        target.dispatch_event("dragover", {"dataTransfer": transfer})
        expect(target).to_have_attribute("data-over", "true")
        target.dispatch_event("drop", {"dataTransfer": transfer})
        expect(target).not_to_have_attribute("data-over", "true")

    def paste(self, *uploads: Upload) -> None:
        self.page.evaluate(
            "(data) => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }))",
            self.transfer(*uploads),
        )

    def answers(self, n: int) -> list[Locator]:
        """Wait until there are so many answers, and nothing is waited for."""
        rows = self.page.get_by_test_id("answer")
        expect(rows).to_have_count(n)
        self.wait_for_answer()
        return rows.all()

    def expect_answer(self, row: Locator, upload: Upload) -> None:
        """Check name, bars and label set against what the model says of the same bytes."""
        expected = prediction_of(self.predictor, upload["buffer"])
        order = np.argsort(-expected.probabilities, kind="stable")[:5]
        labels = [self.predictor.labels[label] for label in order]
        titles = {None: labels[0], "ambiguous": f"Not sure: {labels[0]}?", "unfamiliar": "Not sure: none of these?"}
        expect(row.get_by_test_id("title")).to_have_text(titles[expected.unsure])
        expect(row.locator(".file")).to_have_text(upload["name"])
        bars = row.get_by_test_id("bars")
        assert bars.locator("dt").all_inner_texts() == labels
        assert bars.locator("dd.number").all_inner_texts() == [percent(expected.probabilities[i]) for i in order]
        widths = bars.locator(".bar").evaluate_all(
            "bars => bars.map((bar) => parseFloat(bar.style.getPropertyValue('--share')))"
        )
        assert widths == pytest.approx(100 * expected.probabilities[order], abs=0.01)
        if expected.unsure == "unfamiliar":
            return
        label_set = row.get_by_test_id("label-set").inner_text()
        if len(expected.label_set) == 1:
            assert label_set.startswith("The only label")
        else:
            names = re.findall(r"[\w-]+(?=[,.])", label_set.split(":")[1])
            assert names == [self.predictor.labels[label] for label in expected.label_set]


def prediction_of(predictor: Predictor, data: bytes) -> Prediction:
    (prediction,) = predictor.predict([prepare(data, predictor.preprocessing, limits=ImageLimits())])
    return prediction


def percent(share: float) -> str:
    """Return a probability as the page writes it."""
    if 0 < share < 0.01:
        return "<1%"
    return ">99%" if 0.99 < share < 1 else f"{int(100 * share + 0.5)}%"


Visiting = Callable[..., AbstractContextManager[PictureVisit]]


@pytest.fixture(scope="module")
def visiting(watched_page: Callable[..., AbstractContextManager[Any]], predictor: Predictor) -> Visiting:
    """Return a context manager: (origin, **options of the browser's context) -> a visit of the page there."""

    @contextmanager
    def visiting(origin: str, **options: Any) -> Iterator[PictureVisit]:
        with watched_page(origin, **options) as opened:
            yield PictureVisit(origin, *opened, predictor)

    return visiting


@pytest.fixture(scope="module")
def page_service(
    running_service: Callable[..., AbstractContextManager[Any]],
    bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    with running_service("image-classifier", tmp_path_factory.mktemp("service"), bundle=bundle) as service:
        service.wait_for("/readyz")
        yield service


@pytest.fixture
def visit(visiting: Visiting, page_service: Any) -> Iterator[PictureVisit]:
    with visiting(page_service.origin, **DESK) as visit:
        yield visit


@pytest.fixture(scope="session")
def uploads(train_config: TrainConfig, predictor: Predictor) -> list[Upload]:
    """Return four photographs, those that the model is surest of first."""
    paths = sorted(Path(train_config.data).glob("*/*.jpg"))[::5]
    predictions = [prediction_of(predictor, path.read_bytes()) for path in paths]
    sure = [i for i, prediction in enumerate(predictions) if prediction.unsure is None]
    surest = sorted(sure, key=lambda i: -predictions[i].probabilities.max())[:4]
    assert len(surest) == 4, "the model is sure of too few of its own pictures"
    return [
        {"name": f"photograph-{number}.jpg", "mimeType": "image/jpeg", "buffer": paths[i].read_bytes()}
        for number, i in enumerate(surest)
    ]


@pytest.fixture(scope="session")
def unfamiliar(predictor: Predictor) -> Upload:
    """Return a picture of none of the classes that the model calls unfamiliar."""
    for image in (image for images in draw_pictures(each=2).values() for image in images):
        stream = io.BytesIO()
        image.save(stream, "PNG")
        if prediction_of(predictor, stream.getvalue()).unsure == "unfamiliar":
            return {"name": "unfamiliar.png", "mimeType": "image/png", "buffer": stream.getvalue()}
    pytest.fail("the model is familiar with everything")


# A model of colors


@pytest.fixture(scope="module")
def service(serving: Callable[..., AbstractContextManager[Any]], color_bundle: Path) -> Iterator[Any]:
    """Serve the model of colors; return a client."""
    settings = ServeSettings(bundle=color_bundle, max_pixels_whole=2_000_000, max_file_bytes=5_000_000)
    with serving(create_app(settings)) as client:
        yield client


def color_graph() -> bytes:
    """Return a model that names the strongest color and finds it where it is."""
    nodes = [
        helper.make_node("Cast", ["pictures"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["whole"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["channels", "white"], ["scaled"]),
        helper.make_node("AveragePool", ["scaled"], ["maps"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("ReduceMean", ["maps"], ["embedding"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["embedding", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    floats = TensorProto.FLOAT
    body = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", COLOR_SIDE, COLOR_SIDE, 3])],
        [
            helper.make_tensor_value_info("probabilities", floats, ["n", 3]),
            helper.make_tensor_value_info("embedding", floats, ["n", 3]),
            helper.make_tensor_value_info("maps", floats, ["n", 3, 4, 4]),
        ],
        [helper.make_tensor("white", floats, [], [255.0]), helper.make_tensor("sharpness", floats, [], [5.0])],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture(scope="session")
def color_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model whose answers are seen by eye: it names the strongest color, and nothing dark is familiar."""
    folder = tmp_path_factory.mktemp("model") / "bundle"
    labels, seen = ("apple", "basil", "cornflower"), [*np.eye(3), [1, 1, 0], [0.5, 0.5, 0.5]]
    rules = Rules(labels, Preprocessing(40, COLOR_SIDE), 0.9, least_probability=0.2, least_confidence=0.6)
    novelty = Novelty(np.eye(3, dtype=np.float32), np.array(seen, dtype=np.float32), threshold=0.5, power=0.0)
    example = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(example, "JPEG")
    Predictor(color_graph(), novelty, rules, {"picture-1": example.getvalue()}).save(folder)
    data = DataInfo(source="sample", name="colors", sha256="0" * 64, rows={}, test_split_sha256="0" * 64)
    write_bundle(
        folder,
        Manifest(
            project="image-classifier",
            created=datetime.now(UTC),
            git_commit="0" * 40,
            data=data,
            config={},
            metrics={},
            baselines={},
            input_schema={},
            labels=labels,
        ),
    )
    return folder
