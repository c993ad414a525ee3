"""From torch to ONNX: bytes in, normalisation inside the graph, and a comparison of both on real pictures."""

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from image_classifier.data.preprocessing import Pixels
from image_classifier.models.network import Exportable
from image_classifier.models.predictor import session

OUTPUTS = ("probabilities", "embedding", "maps")
TOLERANCE = 1e-4
ACCURACY_LOSS = 0.005
"""Share of validation pictures that quantisation may cost."""


class ParityError(RuntimeError):
    """The exported graph does not compute what torch computes."""


@dataclass(frozen=True)
class Quantised:
    """A graph in 8-bit integers, with its costs and gains; it is kept if it costs little accuracy and is faster."""

    graph: bytes
    accuracy_before: float
    accuracy_after: float
    milliseconds_before: float
    milliseconds_after: float

    @property
    def kept(self) -> bool:
        """Whether the 8 bit graph is the one to serve."""
        loses = round(self.accuracy_before - self.accuracy_after, 9)  # 0.95 - 0.945 is above 0.005
        return loses <= ACCURACY_LOSS and self.milliseconds_after < self.milliseconds_before

    def summary(self) -> str:
        """Return costs and gains in a line."""
        return (
            f"8-bit integers: validation accuracy {self.accuracy_before:.1%} -> {self.accuracy_after:.1%}, a picture "
            f"{self.milliseconds_before:.1f} -> {self.milliseconds_after:.1f} ms: "
            f"{'served' if self.kept else 'not served'}"
        )


def to_onnx(model: Exportable, pictures: Sequence[Pixels]) -> bytes:
    """Export the model and compare it with torch on these pictures.

    Parameters
    ----------
    pictures
        Each uint8 [crop, crop, 3]; real ones, at least two.

    Raises
    ------
    ParityError
        If a probability differs by more than 1e-4, or a feature or a map by more than that of the largest.
    """
    stacked = np.stack(pictures)
    model = model.cpu().eval()
    with torch.inference_mode():
        program = torch.onnx.export(
            model,
            (torch.from_numpy(stacked[:2]),),
            dynamo=True,
            input_names=["pictures"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"pictures": {0: torch.export.Dim("n", min=1, max=1024)}},
            verbose=False,
        )
        graph = _to_bytes(program)
        expected = [tensor.numpy() for tensor in model(torch.from_numpy(stacked))]
    exported = session(graph).run(list(OUTPUTS), {"pictures": stacked})
    for name, ours, theirs in zip(OUTPUTS, exported, expected, strict=True):
        gap = float(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))
        if not gap <= TOLERANCE:
            raise ParityError(f"ONNX Runtime's {name} differ from torch's by {gap:.2g}, above {TOLERANCE:g}")
    return graph


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


def _to_bytes(program: torch.onnx.ONNXProgram | None) -> bytes:
    if program is None:
        raise ParityError("torch.onnx.export returned nothing")
    buffer = io.BytesIO()
    onnx.save_model(program.model_proto, buffer)
    return buffer.getvalue()
