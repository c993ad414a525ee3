"""The exported graph says what torch says, or there is none; 8 bits are served only where the rule allows it."""

import io
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from image_classifier.data.images import prepare
from image_classifier.data.load import Dataset
from image_classifier.data.photos import TRUSTED
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models import export
from image_classifier.models.backbones import build_backbone
from image_classifier.models.export import OUTPUTS, ParityError, Quantised, parts_of, quantise, to_onnx
from image_classifier.models.network import Classifier, Exportable
from image_classifier.models.predictor import session

TEMPERATURE = 1.7
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def model() -> Exportable:
    """Return a small network whose batch norm has seen something, and whose head has a bias."""
    torch.manual_seed(0)
    built = replace(build_backbone("small_cnn", "none", crop=32), mean=MEAN, std=STD)
    with torch.no_grad():
        for _ in range(20):
            built.trunk.train()(torch.randn(8, 3, 32, 32) + 0.3)
    classifier = Classifier(built, 5, dropout=0.3)
    torch.nn.init.normal_(classifier.head.bias)
    return Exportable(classifier.eval(), TEMPERATURE)


@pytest.fixture(scope="module")
def pixels(sample: Dataset) -> list[np.ndarray]:
    how = Preprocessing(32, 32)
    return [prepare(photo.path.read_bytes(), how, limits=TRUSTED) for photo in sample.photos[::8]]


@pytest.fixture(scope="module")
def graph(pixels: list[np.ndarray]) -> bytes:
    return to_onnx(model(), pixels)


def answers(graph: bytes, pictures: np.ndarray) -> list[np.ndarray]:
    return session(graph).run(list(OUTPUTS), {"pictures": pictures})


def test_the_graph_takes_bytes_in_any_number_and_computes_what_torch_computes(
    graph: bytes, pixels: list[np.ndarray]
) -> None:
    (given,) = session(graph).get_inputs()
    assert (given.name, given.type, given.shape[1:]) == ("pictures", "tensor(uint8)", [32, 32, 3])
    stacked = np.stack(pixels)
    with torch.inference_mode():
        expected = [tensor.numpy() for tensor in model()(torch.from_numpy(stacked))]
    for n in (1, 2, 3, len(pixels)):
        for outputs, theirs in zip(answers(graph, stacked[:n]), expected, strict=True):
            assert outputs.shape == (n, *theirs.shape[1:])
            np.testing.assert_allclose(outputs, theirs[:n], atol=1e-4)
    assert np.ptp(expected[0], axis=0).max() > 0.01  # the pictures are not all one to it


def spoilt(graph: bytes, output: str, factor: float) -> bytes:
    """Return the graph with one of its outputs multiplied."""
    proto = onnx.load_model(io.BytesIO(graph))
    for node in proto.graph.node:
        if output in node.output:
            node.output[list(node.output).index(output)] = "before"
        for i, name in enumerate(node.input):
            if name == output:
                node.input[i] = "before"
    proto.graph.initializer.append(numpy_helper.from_array(np.array(factor, dtype=np.float32), "factor"))
    proto.graph.node.append(helper.make_node("Mul", ["before", "factor"], [output]))
    return proto.SerializeToString()


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("factor", [1.01, np.nan])
def test_a_wrong_graph_is_refused(
    output: str, factor: float, graph: bytes, pixels: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export.torch.onnx, "export", lambda *_, **__: None)
    monkeypatch.setattr(export, "_to_bytes", lambda _: graph)
    assert to_onnx(model(), pixels) == graph
    monkeypatch.setattr(export, "_to_bytes", lambda _: spoilt(graph, output, factor))
    with pytest.raises(ParityError, match=f"ONNX Runtime's {output} differ from torch's by"):
        to_onnx(model(), pixels)


def test_an_export_of_nothing_is_refused(pixels: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export.torch.onnx, "export", lambda *_, **__: None)
    with pytest.raises(ParityError, match="returned nothing"):
        to_onnx(model(), pixels)


@pytest.mark.parametrize(
    ("before", "after", "slow", "fast", "kept"),
    [
        (0.95, 0.95, 6.0, 3.0, True),
        (0.95, 0.97, 6.0, 3.0, True),  # better, even
        (0.95, 0.945, 6.0, 3.0, True),  # half a point: at most
        (0.9, 0.895, 6.0, 3.0, True),
        (0.95, 0.9449, 6.0, 3.0, False),
        (0.95, 0.94, 6.0, 3.0, False),
        (0.95, 0.95, 3.0, 3.0, False),  # no faster
        (0.95, 0.99, 3.0, 3.1, False),
    ],
)
def test_eight_bits_are_kept_by_the_rule(before: float, after: float, slow: float, fast: float, kept: bool) -> None:
    assert Quantised(b"", before, after, slow, fast).kept is kept


def test_quantisation_measures_both_graphs(graph: bytes, pixels: list[np.ndarray]) -> None:
    floats = answers(graph, np.stack(pixels))
    labels = floats[0].argmax(axis=1)
    labels[:5] = (labels[:5] + 1) % 5  # five labels that the float graph does not give
    quantised = quantise(graph, pixels[:8], pixels, labels)
    assert quantised.accuracy_before == pytest.approx(1 - 5 / len(pixels))
    small = answers(quantised.graph, np.stack(pixels))
    assert quantised.accuracy_after == pytest.approx(np.mean(small[0].argmax(axis=1) == labels))
    assert quantised.milliseconds_before > 0
    assert quantised.milliseconds_after > 0

    kinds = [node.op_type for node in onnx.load_model(io.BytesIO(quantised.graph)).graph.node]
    assert "QuantizeLinear" in kinds
    assert len(quantised.graph) < 0.5 * len(graph)  # weights of 8 bits instead of 32
    assert [output.name for output in session(quantised.graph).get_outputs()] == list(OUTPUTS)
    np.testing.assert_allclose(small[0], floats[0], atol=0.1)
    assert np.abs(small[1] - floats[1]).max() > 0  # it is another graph
    # Still made of the maps: the head stays in floats.
    head = model().classifier.head
    logits = small[2].mean(axis=(2, 3)) + head.bias.detach().numpy()
    scaled = np.exp(logits / TEMPERATURE)
    np.testing.assert_allclose(small[0], scaled / scaled.sum(axis=1, keepdims=True), atol=1e-4)


def test_parts_hold_every_picture_once() -> None:
    pictures = [np.full((2, 2, 3), i, dtype=np.uint8) for i in range(7)]
    parts = list(parts_of(pictures, size=3))
    assert [len(part) for part in parts] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(parts), np.stack(pictures))
