"""What one photograph costs, upload to answer, beside the bare ONNX Runtime call on a ready tensor and eager torch."""

import io
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image
from serving_cost import Kinds, run, upload
from torchvision.models import mobilenet_v2

from image_classifier.data.images import ImageLimits, prepare
from image_classifier.models.predictor import GRAPH, Predictor
from image_classifier.serving.app import classify_file
from image_classifier.serving.schemas import ClassificationResponse, Options
from image_classifier.serving.uploads import Upload
from portfolio_shared.serving.schemas import ModelName

SIZE = (500, 375)
BARE = "ONNX Runtime alone"
PHOTO = "photograph: decoded, resized, classified, answered"
OVER_HTTP = "the same over HTTP"


def kinds(bundle: Path) -> Kinds:
    """Return what takes turns: the session and torch on a ready tensor, one photograph in this thread and over HTTP."""
    photo = photograph()
    predictor = Predictor.load(bundle)
    preprocessing = predictor.preprocessing
    named = ModelName(name="image-classifier", version="1")
    pixels = prepare(photo, preprocessing, limits=ImageLimits())[None]
    batch = np.repeat(pixels, 8, axis=0)
    outputs = ["probabilities", "embedding"]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(bundle / GRAPH, options, providers=["CPUExecutionProvider"])

    torch.set_num_threads(1)
    network = mobilenet_v2().eval()
    tensor = torch.rand(1, 3, preprocessing.crop, preprocessing.crop)

    def answered() -> None:
        result = classify_file(Upload("a.jpg", photo), Options(), predictor, ImageLimits())
        ClassificationResponse(id="", model=named, results=[result]).model_dump_json()

    def eager() -> None:
        with torch.inference_mode():
            network(tensor)

    return {
        BARE: lambda: session.run(outputs, {"pictures": pixels}),
        PHOTO: answered,
        OVER_HTTP: upload(photo, "/v1/classifications"),
        f"{OVER_HTTP}, with heat map": upload(photo, "/v1/classifications?heat=true"),
        f"{BARE}, 8 pictures at once": lambda: session.run(outputs, {"pictures": batch}),
        "torch, eager": eager,
    }


def photograph() -> bytes:
    """Return a JPEG file of 500 x 375 pixels with as much detail as a photograph: smooth noise at several scales."""
    rng = np.random.default_rng(0)
    layers = [
        np.asarray(Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize(SIZE), dtype=float)
        for side in (3, 12, 48, 192)
    ]
    stream = io.BytesIO()
    mixed = np.average(layers, axis=0, weights=[8, 4, 2, 1]).astype(np.uint8)
    Image.fromarray(mixed).save(stream, "JPEG", quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    ratios = {
        "photograph_ratio": PHOTO,
        "http_ratio": OVER_HTTP,
        "heat_ratio": f"{OVER_HTTP}, with heat map",
        "eager_ratio": "torch, eager",
    }
    limits = {"photograph_ratio": 1.5, "ready_seconds": 3.0, "resident_mb": 350.0}
    sys.exit(run("image-classifier", __doc__, kinds, ratios=ratios, limits=limits, bare=BARE))
