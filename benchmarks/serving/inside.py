"""What one photograph costs without HTTP: decoded and classified by us, beside decoding and the bare ONNX Runtime call.

Both run in this process, in turns, on one thread.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
from contenders import ANSWER, CALL
from inputs import photograph

from image_classifier.data.images import ImageLimits, prepare
from image_classifier.models.predictor import GRAPH, Predictor
from image_classifier.serving.app import classify_file
from image_classifier.serving.schemas import ClassificationResponse, Options
from image_classifier.serving.uploads import Upload
from portfolio_shared.serving.schemas import ModelName

TURNS = 40


class Inside:
    """Two ways to classify the photograph, and the milliseconds that each took so far."""

    def __init__(self, bundle: Path) -> None:
        predictor, photo = Predictor.load(bundle), photograph()
        preprocessing, limits = predictor.preprocessing, ImageLimits()
        named = ModelName(name="image-classifier", version="1")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(bundle / GRAPH, options, providers=["CPUExecutionProvider"])

        def call() -> None:
            pixels = prepare(photo, preprocessing, limits=limits)
            session.run(["probabilities", "embedding"], {"pictures": pixels[None]})

        def answer() -> None:
            result, *_ = classify_file(Upload("a.jpg", photo), Options(), predictor, limits)
            ClassificationResponse(id="", model=named, results=[result]).model_dump_json()

        self._ways: dict[str, Callable[[], None]] = {CALL: call, ANSWER: answer}
        self._ms: dict[str, list[float]] = {name: [] for name in self._ways}

    def take_turns(self) -> None:
        """Measure each way so many times."""
        for _ in range(TURNS):
            for name, way in self._ways.items():
                started = time.perf_counter()
                way()
                self._ms[name].append(1000 * (time.perf_counter() - started))

    def medians(self) -> dict[str, float]:
        """Return the median of each way, in milliseconds."""
        return {name: round(statistics.median(values), 3) for name, values in self._ms.items()}
