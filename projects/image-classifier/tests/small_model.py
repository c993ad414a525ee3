"""What the repository's tests must know of this project: a training of seconds, a poor model, a request for everything.

Imports are inside the functions: a test that only trains needs no service.
"""

import shutil
from pathlib import Path
from typing import Any

# Enough to be far from guessing, and 19 to calibrate label sets by; small pictures, because features take the time.
PER_CLASS, SIDE = 60, 96


def training(place: Path) -> dict[str, Any]:
    """Return the settings of a training that takes seconds, on a slice of the sample; it may use the folder."""
    from image_classifier.data.load import SAMPLE

    for folder in SAMPLE.path.iterdir():
        (place / "flowers" / folder.name).mkdir(parents=True)
        for photo in sorted(folder.glob("*.jpg"))[:PER_CLASS]:
            shutil.copy(photo, place / "flowers" / folder.name)
    small = {"data": str(place / "flowers"), "recipe": "quick", "crop": SIDE, "threads": 1}
    return {**small, "work": place / "work"}


def poor(trained: Any) -> Any:
    """Return a predictor that sees as much and names it wrongly: each class has the probability of the one before."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    from image_classifier.models.predictor import Predictor

    ours = trained.predictor
    model = onnx.load_from_string(ours._graph)
    (maker,) = [node for node in model.graph.node if "probabilities" in node.output]
    maker.output[list(maker.output).index("probabilities")] = "right"
    order = np.roll(np.arange(len(ours.labels)), 1)
    model.graph.initializer.append(numpy_helper.from_array(order, "order"))
    model.graph.node.append(helper.make_node("Gather", ["right", "order"], ["probabilities"], axis=1))
    return Predictor(bytes(model.SerializeToString()), ours._novelty, ours.rules, ours.examples)


def full_request(trained: Any) -> Any:
    """Return a request for everything that the service can answer: labels, and where the evidence lies."""
    del trained
    from image_classifier.serving.schemas import EXAMPLE_REQUEST
    from portfolio_shared.serving.schemas import ExampleRequest

    part = b'--example\r\nContent-Disposition: form-data; name="heat"\r\n\r\ntrue\r\n'
    return ExampleRequest(EXAMPLE_REQUEST.path, part + EXAMPLE_REQUEST.body, EXAMPLE_REQUEST.content_type)
