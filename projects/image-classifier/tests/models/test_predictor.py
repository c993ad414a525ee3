"""Predictions of a graph that is made by hand, and of the trained one."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from image_classifier.data.photos import pixels_of
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models.novelty import Novelty
from image_classifier.models.predictor import Predictor, Rules

SIDE = 16
# The color of a picture is its embedding; distances are counted in steps of red alone, from red 0.
REDS = Novelty(np.array([[1], [0], [0]], dtype=np.float32), np.zeros((1, 1), dtype=np.float32), 200.0, power=0.0)
RULES = Rules(("red", "green", "blue"), Preprocessing(SIDE, SIDE), 0.9, least_probability=0.2, least_confidence=0.4)


def graph() -> bytes:
    """Return a model whose probabilities are the shares of red, green and blue, and whose evidence may be negative."""
    floats = TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["pictures"], ["whole"], to=floats),
        helper.make_node("Transpose", ["whole"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["channels"], ["grid"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("ReduceMean", ["grid"], ["embedding"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceSum", ["embedding", "last"], ["total"], keepdims=1),
        helper.make_node("Div", ["embedding", "total"], ["probabilities"]),
        helper.make_node("Sub", ["grid", "middle"], ["maps"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, floats, shape)
        for name, shape in [("probabilities", ["n", 3]), ("embedding", ["n", 3]), ("maps", ["n", 3, 2, 2])]
    ]
    pictures = helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    constants = [
        helper.make_tensor("last", TensorProto.INT64, [1], [1]),
        helper.make_tensor("middle", floats, [], [100.0]),
    ]
    body = helper.make_graph(nodes, "shares", [pictures], outputs, constants)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


@pytest.fixture(scope="module")
def shares() -> Predictor:
    return Predictor(graph(), REDS, RULES, {"picture-1": b"first", "picture-2": b"second"})


def of(*color: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), color, dtype=np.uint8)


def test_probabilities_are_those_of_the_graph_and_sum_to_one(shares):
    predictions = shares.predict([of(50, 100, 50), of(10, 20, 170)])
    np.testing.assert_allclose(
        [prediction.probabilities for prediction in predictions], [[0.25, 0.5, 0.25], [0.05, 0.1, 0.85]]
    )
    assert all(prediction.probabilities.sum() == pytest.approx(1, abs=1e-12) for prediction in predictions)


def test_the_label_set_holds_what_is_probable_enough_the_most_probable_first(shares):
    pictures = [of(50, 100, 50), of(40, 60, 100), of(10, 20, 170), of(30, 70, 100)]
    assert [prediction.label_set for prediction in shares.predict(pictures)] == [(1, 0, 2), (2, 1, 0), (2,), (2, 1)]


def test_a_label_set_is_never_empty():
    strict = Predictor(graph(), REDS, Rules(RULES.labels, RULES.preprocessing, 0.5, 0.9, 0.4))
    assert [prediction.label_set for prediction in strict.predict([of(50, 60, 90)])] == [(2,)]


@pytest.mark.parametrize(
    ("color", "unfamiliarity", "unsure"),
    [
        ((200, 100, 100), 1.0, None),  # at the threshold, not above it
        ((202, 100, 100), 1.01, "unfamiliar"),
        ((250, 250, 240), 1.25, "unfamiliar"),  # ambiguous too: that nothing is known comes first
        ((60, 60, 60), 0.3, "ambiguous"),
        ((40, 30, 30), 0.2, None),  # exactly as sure as it must be
        ((38, 31, 31), 0.19, "ambiguous"),
    ],
)
def test_why_an_answer_is_unsure(shares, color, unfamiliarity, unsure):
    (prediction,) = shares.predict([of(*color)])
    assert prediction.unfamiliarity == pytest.approx(unfamiliarity)
    assert prediction.unsure == unsure


def test_heat_is_the_positive_evidence_for_the_first_label(shares):
    picture = of(0, 0, 90)
    picture[:8, :8] = (0, 0, 250)  # 150 above the middle
    picture[8:, 8:] = (0, 0, 150)  # 50 above it
    (prediction,) = shares.predict([picture], heat=True)
    np.testing.assert_allclose(prediction.heat, [[1, 0], [0, 1 / 3]], atol=1e-6)
    (dark,) = shares.predict([of(0, 0, 50)], heat=True)
    np.testing.assert_array_equal(dark.heat, np.zeros((2, 2)))  # no evidence, and no division by it


def test_heat_is_made_only_if_asked_for_and_changes_no_answer(shares):
    pictures = [of(200, 100, 100), of(60, 60, 60)]
    for plain, warm in zip(shares.predict(pictures), shares.predict(pictures, heat=True), strict=True):
        assert plain.heat is None
        assert warm.heat is not None
        np.testing.assert_array_equal(plain.probabilities, warm.probabilities)


def test_no_pictures_have_no_answers(shares):
    assert shares.predict([]) == []


def test_what_was_saved_reads_back(shares, tmp_path):
    shares.save(tmp_path / "bundle")
    read = Predictor.load(tmp_path / "bundle")
    assert read.rules == shares.rules
    assert (read.labels, read.coverage, read.preprocessing) == (RULES.labels, 0.9, RULES.preprocessing)
    assert read.examples == {"picture-1": b"first", "picture-2": b"second"}
    pictures = [of(1, 2, 3), of(60, 60, 60)]
    assert read.predict(pictures, heat=True) == shares.predict(pictures, heat=True)
    assert read.predict(pictures) != shares.predict(pictures, heat=True)
    assert read.predict(pictures)[0] != shares.predict(pictures)[1]
    names = {path.relative_to(tmp_path / "bundle").as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"model.onnx", "novelty.npz", "rules.json", "examples/picture-1.jpg", "examples/picture-2.jpg"}


def test_an_answer_does_not_depend_on_the_pictures_beside_it(predictor, trained):
    pictures = [pixels_of(photo, predictor.preprocessing) for photo in trained.split.test[:12]]
    for together, photo in zip(predictor.predict(pictures, heat=True), pictures, strict=True):
        (alone,) = predictor.predict([photo], heat=True)
        np.testing.assert_allclose(together.probabilities, alone.probabilities, atol=1e-6)
        np.testing.assert_allclose(together.heat, alone.heat, atol=1e-5)
        assert (together.label_set, together.unsure) == (alone.label_set, alone.unsure)
