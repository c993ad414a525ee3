"""The graph that is served: a trunk with a head on it, and the same in 8-bit integers if that costs little."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from image_classifier.data.preprocessing import Pixels
from image_classifier.models.predictor import session
from image_classifier.models.probe import Head

OUTPUTS = ("probabilities", "embedding", "maps")
ACCURACY_LOSS = 0.005
"""Share of validation pictures that quantisation may cost."""
LEAST_PICTURES = round(1 / ACCURACY_LOSS)
"""Of fewer validation pictures, one is more than that share: no loss could be told from none, and nothing is tried."""


@dataclass(frozen=True)
class Quantised:
    """A graph in 8-bit integers, with its costs and gains, of which the accuracies are those on `pictures` pictures."""

    graph: bytes
    pictures: int
    accuracy_before: float
    accuracy_after: float
    milliseconds_before: float
    milliseconds_after: float

    @property
    def kept(self) -> bool:
        """Whether the 8-bit graph is served: it is faster, and loses nothing to speak of."""
        loses = round(self.accuracy_before - self.accuracy_after, 9)  # 0.95 - 0.945 is above 0.005
        return loses <= ACCURACY_LOSS and self.milliseconds_after < self.milliseconds_before

    def summary(self) -> str:
        """Return costs and gains in a line."""
        return (
            f"8-bit integers: accuracy of {self.pictures:,} validation pictures {self.accuracy_before:.1%} -> "
            f"{self.accuracy_after:.1%}, a picture {self.milliseconds_before:.1f} -> {self.milliseconds_after:.1f} ms: "
            f"{'served' if self.kept else 'not served'}"
        )


def with_head(trunk: bytes, head: Head, temperature: float) -> bytes:
    """Return the graph that is served: bytes in, calibrated probabilities, features and class-activation maps out.

    Parameters
    ----------
    trunk
        Graph from ``pictures`` to ``grid`` [n, n_features, h, w].

    Returns
    -------
    bytes
        Graph from ``pictures`` to ``probabilities`` [n, n_classes], ``embedding`` [n, n_features] and ``maps``
        [n, n_classes, h, w].
    """
    model = onnx.load_from_string(trunk)
    graph, weight = model.graph, head.weight.astype(np.float32)
    constants = {
        "head.weight": weight,
        "head.bias": head.bias.astype(np.float32),
        "head.filters": weight[:, :, None, None],
        "places": np.array([2, 3]),
        "temperature": np.array(temperature, dtype=np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("ReduceMean", ["grid", "places"], "embedding", {"keepdims": 0}),
        ("Gemm", ["embedding", "head.weight", "head.bias"], "logits", {"transB": 1}),
        ("Div", ["logits", "temperature"], "scaled", {}),
        ("Softmax", ["scaled"], "probabilities", {"axis": 1}),
        ("Conv", ["grid", "head.filters"], "maps", {}),
    ]
    graph.node.extend(helper.make_node(kind, given, [made], made, **how) for kind, given, made, how in steps)
    del graph.output[:]
    (n_classes, n_features), floats = weight.shape, onnx.TensorProto.FLOAT
    shapes = ["n", n_classes], ["n", n_features], ["n", n_classes, None, None]
    graph.output.extend(
        helper.make_tensor_value_info(name, floats, shape) for name, shape in zip(OUTPUTS, shapes, strict=True)
    )
    return bytes(model.SerializeToString())


def quantise(
    graph: bytes,
    calibration: Sequence[Pixels],
    validation: Sequence[Pixels],
    labels: NDArray[np.int64],
) -> Quantised:
    """Try static quantisation with 8 bit weights and activations; measure accuracy and time on this machine.

    Parameters
    ----------
    calibration
        Training pictures, for the ranges of the activations.
    validation, labels
        What accuracy is measured on.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self.batches = iter({"pictures": picture[None]} for picture in calibration)

        def get_next(self) -> dict[str, Pixels] | None:
            return next(self.batches, None)

    with TemporaryDirectory() as folder:
        source, prepared, target = (Path(folder) / name for name in ("float.onnx", "prepared.onnx", "int8.onnx"))
        source.write_bytes(graph)
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_outside_the_trunk(prepared),
        )
        small = target.read_bytes()
    before, after = session(graph), session(small)
    return Quantised(
        small,
        len(validation),
        _accuracy(before, validation, labels),
        _accuracy(after, validation, labels),
        *_times(before, after, validation[0]),
    )


def _outside_the_trunk(path: Path) -> list[str]:
    """Return the nodes that stay in floats: all but convolutions and what may be between them."""
    inside = {"Conv", "Clip", "Relu", "Add", "GlobalAveragePool", "MaxPool", "AveragePool"}
    model = onnx.load(path)
    nodes = list(model.graph.node)
    first = next(i for i, node in enumerate(nodes) if node.op_type == "Conv")
    maps = {node.name for node in nodes if "maps" in node.output}
    return [node.name for i, node in enumerate(nodes) if i < first or node.op_type not in inside or node.name in maps]


def _accuracy(running: onnxruntime.InferenceSession, pictures: Sequence[Pixels], labels: NDArray[np.int64]) -> float:
    named = [running.run(["probabilities"], {"pictures": part})[0].argmax(axis=1) for part in parts_of(pictures)]
    return float(np.mean(np.concatenate(named) == labels))


def parts_of(pictures: Sequence[Pixels], size: int = 32) -> Iterator[Pixels]:
    """Yield pictures in batches [n, crop, crop, 3] of at most `size`."""
    for start in range(0, len(pictures), size):
        yield np.stack(pictures[start : start + size])


def _times(
    before: onnxruntime.InferenceSession, after: onnxruntime.InferenceSession, picture: Pixels
) -> tuple[float, float]:
    """Return the median milliseconds of one picture in both sessions, measured in turns."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(40):
        for running, times in zip((before, after), taken, strict=True):
            begun = time.perf_counter()
            running.run(["probabilities", "embedding"], {"pictures": picture[None]})
            times.append((time.perf_counter() - begun) * 1000)
    return float(np.median(taken[0])), float(np.median(taken[1]))
