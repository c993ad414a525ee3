"""What importing costs: a serving process stays small, and an import does nothing but define names."""

import io
import pkgutil
from datetime import UTC, datetime

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

import image_classifier
from image_classifier.data.images import Preprocessing
from image_classifier.models.novelty import Novelty
from image_classifier.models.predictor import Predictor, Rules
from portfolio_shared.bundle import DataInfo, Manifest, write_bundle

TRAINING_ONLY = {
    "imagehash",
    "matplotlib",
    "mlflow",
    "onnx",
    "onnxscript",
    "pandas",
    "pandera",
    "pooch",
    "safetensors",
    "scipy",
    "sklearn",
    "threadpoolctl",
    "torch",
    "torchvision",
}
MODULES = sorted(module.name for module in pkgutil.walk_packages(image_classifier.__path__, "image_classifier."))
# Needs MLflow, which runs it as a script when a model is loaded; nothing imports it.
ADAPTER = "image_classifier.serving.mlflow_adapter"


def graph() -> bytes:
    """Return a model of three labels that are the colours red, green and blue."""
    nodes = [
        helper.make_node("Cast", ["pictures"], ["colours"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["colours"], ["maps"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMean", ["maps"], ["embedding"], axes=[2, 3], keepdims=0),
        helper.make_node("Softmax", ["embedding"], ["probabilities"], axis=1),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in [("probabilities", ["n", 3]), ("embedding", ["n", 3]), ("maps", ["n", 3, 16, 16])]
    ]
    pictures = helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", 16, 16, 3])
    body = helper.make_graph(nodes, "colours", [pictures], outputs)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


@pytest.fixture
def bundle(tmp_path):
    """Return a folder with a model that has learned nothing: what is loaded does not depend on it."""
    labels = ("red", "green", "blue")
    novelty = Novelty(np.eye(3, dtype=np.float32), np.full((3, 3), 128, dtype=np.float32), 1000.0)
    Predictor(graph(), novelty, Rules(labels, Preprocessing(16, 16), 0.9, 0.2, 0.5)).save(tmp_path / "bundle")
    manifest = Manifest(
        project="image-classifier",
        created=datetime.now(UTC),
        git_commit="0" * 40,
        data=DataInfo(source="sample", name="colours", sha256="0" * 64, rows={}, test_split_sha256="0" * 64),
        config={},
        metrics={},
        baselines={},
        input_schema={},
        labels=labels,
        input_statistics={},
    )
    write_bundle(tmp_path / "bundle", manifest)
    return tmp_path / "bundle"


@pytest.mark.slow
def test_answering_a_request_needs_no_training_library(answer_once, bundle):
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), "blue").save(picture, "JPEG")
    head = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    heat = b'\r\n--edge\r\nContent-Disposition: form-data; name="heat"\r\n\r\ntrue\r\n--edge--\r\n'
    body, content_type = head + picture.getvalue() + heat, "multipart/form-data; boundary=edge"

    answer = answer_once("image_classifier", bundle, "/v1/classifications", body, content_type)

    assert answer["status"] == 200
    (result,) = answer["body"]["results"]
    assert result["label_set"] == ["blue"]
    assert result["heat"].startswith("data:image/png")
    assert {"numpy", "fastapi", "onnxruntime", "PIL", "image_classifier"} <= set(answer["modules"])
    assert not set(answer["modules"]) & {*TRAINING_ONLY, "pytest"}
    assert answer["blas_threads"] == "1"


def test_the_command_line_starts_without_numpy(loaded_by):
    loaded = loaded_by("image_classifier.cli")

    # Linear algebra reads its number of threads when NumPy is loaded: the service sets it before that.
    assert "image_classifier" in loaded
    assert not loaded & {*TRAINING_ONLY, "numpy", "PIL", "fastapi", "uvicorn"}


def test_classifying_files_needs_no_training_library(loaded_by):
    loaded = loaded_by("image_classifier.serving.batch")

    assert {"onnxruntime", "PIL"} <= loaded
    assert not loaded & {*TRAINING_ONLY, "fastapi", "starlette"}


def test_every_module_is_known_here():
    named = ["serve", "model", "images", "headers", "uploads", "heat", "schemas", "batch", "config"]
    assert {f"image_classifier.{name}" for name in named} <= set(MODULES)


@pytest.mark.slow
def test_importing_reads_no_environment_and_opens_nothing(watch_imports):
    assert watch_imports("image_classifier", [name for name in MODULES if name != ADAPTER]) == []
