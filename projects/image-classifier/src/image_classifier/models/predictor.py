"""The model that is served: ONNX Runtime, NumPy, and the thresholds of its predictions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from image_classifier.data.preprocessing import Pixels, Preprocessing
from image_classifier.models.novelty import Novelty

GRAPH = "model.onnx"
NOVELTY = "novelty.npz"
RULES = "rules.json"
EXAMPLES = "examples"

Unsure = Literal["unfamiliar", "ambiguous"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a picture shows; equal to another one if every number is.

    Attributes
    ----------
    probabilities
        [n_classes], calibrated, sum 1.
    label_set
        Labels that together hold the true one with the stated coverage; the most probable first, never empty.
    unfamiliarity
        How unlike the training pictures it is: above 1 it is unlike all of them.
    unsure
        Why no label should be relied on, or None.
    heat
        [h, w] in 0..1: where the evidence for the most probable label lies; None if it was not asked for.
    features
        What the picture is like, in a few numbers to compare it with others: `Novelty.features`.
    """

    probabilities: NDArray[np.float64]
    label_set: tuple[int, ...]
    unfamiliarity: float
    unsure: Unsure | None
    heat: NDArray[np.float32] | None
    features: tuple[float, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prediction) and all(
            np.array_equal(ours, theirs) for ours, theirs in zip(vars(self).values(), vars(other).values(), strict=True)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have none


@dataclass(frozen=True)
class Rules:
    """Thresholds from the validation part.

    Attributes
    ----------
    labels
        Names of the classes, in the order of the probabilities.
    coverage
        Share of pictures whose label set is to hold the true label.
    least_probability
        A label belongs to the set if its probability is at least this.
    least_confidence
        Below this probability of the first label the prediction is ambiguous.
    """

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    coverage: float
    least_probability: float
    least_confidence: float


def session(graph: bytes) -> onnxruntime.InferenceSession:
    """Return a session with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class Predictor:
    """Pictures in, predictions out; the same code for evaluation, the command line and the service."""

    def __init__(
        self, graph: bytes, novelty: Novelty, rules: Rules, examples: Mapping[str, bytes] | None = None
    ) -> None:
        self._graph = graph
        self._session = session(graph)
        self._novelty = novelty
        self.rules = rules
        self.labels, self.preprocessing, self.coverage = rules.labels, rules.preprocessing, rules.coverage
        self.examples = dict(examples or {})
        """Pictures to try the model on: JPEG files of the test split by name, so that they fit the classes."""

    def predict(self, inputs: Sequence[Pixels], *, heat: bool = False) -> list[Prediction]:
        """Classify pictures, each uint8 [crop, crop, 3] as `to_pixels` returns it; with heat maps if asked for."""
        if not inputs:
            return []
        outputs = ["probabilities", "embedding", *(["maps"] if heat else [])]
        batch = inputs[0][None] if len(inputs) == 1 else np.stack(inputs)  # a single picture is not copied
        probabilities, embedding, *maps = self._session.run(outputs, {"pictures": batch})
        unfamiliarity = self._novelty.score(embedding, probabilities.argmax(axis=1))
        features = self._novelty.features(embedding)
        return [
            self._predict(row, float(unfamiliarity[i]), maps[0][i] if heat else None, features[i])
            for i, row in enumerate(probabilities.astype(np.float64))
        ]

    def _predict(
        self,
        probabilities: NDArray[np.float64],
        unfamiliarity: float,
        maps: NDArray[np.float32] | None,
        features: NDArray[np.float32],
    ) -> Prediction:
        order = np.argsort(-probabilities, kind="stable")
        top = int(order[0])
        within = [int(label) for label in order if probabilities[label] >= self.rules.least_probability]
        unsure: Unsure | None = None
        if unfamiliarity > 1:
            unsure = "unfamiliar"
        elif probabilities[top] < self.rules.least_confidence:
            unsure = "ambiguous"
        return Prediction(
            probabilities / probabilities.sum(),
            tuple(within) or (top,),
            unfamiliarity,
            unsure,
            None if maps is None else _to_heat(maps[top]),
            tuple(features.tolist()),
        )

    def save(self, folder: Path) -> None:
        """Write the model's files into a folder, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / GRAPH).write_bytes(self._graph)
        self._novelty.save(folder / NOVELTY)
        (folder / RULES).write_text(json.dumps(asdict(self.rules), indent=1), encoding="utf-8")
        (folder / EXAMPLES).mkdir(exist_ok=True)
        for name, picture in self.examples.items():
            (folder / EXAMPLES / f"{name}.jpg").write_bytes(picture)

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Read what `save` wrote."""
        stored = json.loads((folder / RULES).read_text(encoding="utf-8"))
        rules = Rules(
            **stored | {"labels": tuple(stored["labels"]), "preprocessing": Preprocessing(**stored["preprocessing"])}
        )
        examples = {path.stem: path.read_bytes() for path in sorted((folder / EXAMPLES).glob("*.jpg"))}
        return cls((folder / GRAPH).read_bytes(), Novelty.load(folder / NOVELTY), rules, examples)


def _to_heat(evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return positive evidence scaled to 0..1 (Zhou et al. 2016, the class-activation map)."""
    positive = np.maximum(evidence, 0.0)
    return np.asarray(positive / np.float32(max(float(positive.max()), 1e-12)), dtype=np.float32)
