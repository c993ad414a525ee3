"""The graph that is served is its trunk with a head; 8 bits are served only where the rule allows it."""

import io

import numpy as np
import onnx
import pytest

from image_classifier.data.load import Dataset
from image_classifier.data.photos import pixels_of
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models.export import OUTPUTS, Quantised, parts_of, quantise, with_head
from image_classifier.models.predictor import session
from image_classifier.models.probe import Head
from image_classifier.models.trunk import Trunk, shipped_trunk
from portfolio_shared.evaluation.classification import softmax

TEMPERATURE = 1.7
HEAD = Head(np.random.default_rng(0).normal(0, 0.1, (5, 1280)), np.random.default_rng(1).normal(size=5))


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return shipped_trunk(Preprocessing(48, 48))


@pytest.fixture(scope="module")
def pixels(sample: Dataset, trunk: Trunk) -> list[np.ndarray]:
    return [pixels_of(photo, trunk.preprocessing) for photo in sample.photos[::8]]


@pytest.fixture(scope="module")
def graph(trunk: Trunk) -> bytes:
    return with_head(trunk.graph, HEAD, TEMPERATURE)


def answers(graph: bytes, pictures: np.ndarray) -> list[np.ndarray]:
    return session(graph).run(list(OUTPUTS), {"pictures": pictures})


def test_a_logit_is_the_mean_of_its_map_plus_the_bias(graph: bytes, trunk: Trunk, pixels: list[np.ndarray]) -> None:
    probabilities, embedding, maps = answers(graph, np.stack(pixels))
    (grid,) = session(trunk.graph).run(["grid"], {"pictures": np.stack(pixels)})
    np.testing.assert_allclose(embedding, grid.mean(axis=(2, 3)), atol=1e-5)
    logits = HEAD.logits(embedding)
    np.testing.assert_allclose(maps.mean(axis=(2, 3)) + HEAD.bias, logits, atol=1e-4)
    np.testing.assert_allclose(probabilities, softmax(logits / TEMPERATURE), atol=1e-5)
    # One place of a map is the head on that place's features, without the bias.
    np.testing.assert_allclose(maps[1, :, 0, 1], HEAD.weight @ grid[1, :, 0, 1], atol=1e-4)
    assert np.ptp(probabilities, axis=0).max() > 0.01  # the pictures are not all one to it


def test_the_graph_takes_any_number_of_pictures_and_is_valid(graph: bytes, pixels: list[np.ndarray]) -> None:
    onnx.checker.check_model(graph, full_check=True)
    whole = answers(graph, np.stack(pixels))
    for n in (1, 3):
        for ours, theirs in zip(answers(graph, np.stack(pixels[:n])), whole, strict=True):
            np.testing.assert_allclose(ours, theirs[:n], atol=1e-4)


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
    assert Quantised(b"", 200, before, after, slow, fast).kept is kept


@pytest.mark.long
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
    assert np.abs(small[0] - floats[0]).mean() < 0.05
    assert np.abs(small[1] - floats[1]).max() > 0  # it is another graph
    # Still made of the maps: the head stays in floats.
    logits = small[2].mean(axis=(2, 3)) + HEAD.bias
    np.testing.assert_allclose(small[0], softmax(logits / TEMPERATURE), atol=1e-4)


def test_parts_hold_every_picture_once() -> None:
    pictures = [np.full((2, 2, 3), i, dtype=np.uint8) for i in range(7)]
    parts = list(parts_of(pictures, size=3))
    assert [len(part) for part in parts] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(parts), np.stack(pictures))
