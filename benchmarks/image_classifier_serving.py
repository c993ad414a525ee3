"""What one photograph costs, upload to answer, beside the bare ONNX Runtime call on a ready tensor and eager torch."""

import io
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image
from serving_cost import Kinds, Request, run
from torchvision.models import mobilenet_v2

from image_classifier.data.images import ImageLimits, prepare
from image_classifier.models.predictor import GRAPH, Predictor
from image_classifier.serving.app import classify_file
from image_classifier.serving.schemas import ClassificationResponse, Options
from image_classifier.serving.uploads import Upload
from portfolio_shared.serving.schemas import ModelName

SIZE = (500, 375)
BOUNDARY = "boundary-of-the-benchmark"
BARE = "ONNX Runtime alone"
PHOTO = "photograph: decoded, resized, classified, answered"
OVER_HTTP = "the same over HTTP"
LIMITS = {"photograph_ratio": 1.5, "ready_seconds": 3.0, "resident_mb": 350.0}


def main() -> int:
    """Measure, print, write; return 1 if a limit is broken."""
    return run(
        "image-classifier",
        about=__doc__ or "",
        requests=kinds,
        ratios={
            "photograph_ratio": PHOTO,
            "http_ratio": OVER_HTTP,
            "heat_ratio": "the same over HTTP, with heat map",
            "eager_ratio": "torch, eager",
        },
        limits=LIMITS,
        bare=BARE,
    )


def kinds(bundle: Path) -> Kinds:
    """Return what takes turns: the session and torch on a ready tensor, one photograph in this thread and over HTTP."""
    photo = photograph()
    predictor = Predictor.load(bundle)
    preprocessing = predictor.preprocessing
    named = ModelName(name="image-classifier", version="1")
    pixels = prepare(photo, preprocessing, limits=ImageLimits())[None]

    batch = np.repeat(pixels, 8, axis=0)

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
        BARE: lambda: session.run(["probabilities", "embedding"], {"pictures": pixels}),
        PHOTO: answered,
        OVER_HTTP: upload(photo, "/v1/classifications"),
        "the same over HTTP, with heat map": upload(photo, "/v1/classifications?heat=true"),
        "ONNX Runtime alone, 8 pictures at once": lambda: session.run(
            ["probabilities", "embedding"], {"pictures": batch}
        ),
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


def upload(photo: bytes, path: str) -> Request:
    """Return the request that a browser sends."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n'
    body = f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()
    return Request("POST", path, body, f"multipart/form-data; boundary={BOUNDARY}")


if __name__ == "__main__":
    sys.exit(main())
