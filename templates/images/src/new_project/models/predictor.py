"""The model that is served: the frozen network, a linear layer, and the thresholds of its answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from new_project.data.images import Pixels
from new_project.models.trunk import Floats, Trunk
from portfolio_shared.evaluation.classification import softmax

GRAPH, ARRAYS, RULES, EXAMPLES = "trunk.onnx", "head.npz", "rules.json", "examples"
Unsure = Literal["unfamiliar", "ambiguous"]


@dataclass(frozen=True)
class Head:
    """A linear layer: weight [n_labels, n_features], bias [n_labels]."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, features: Floats) -> NDArray[np.float64]:
        """Return logits, shape (n, n_labels), of features, shape (n, n_features)."""
        return np.asarray(features.astype(np.float64) @ self.weight.T + self.bias)


@dataclass(frozen=True)
class Rules:
    """Labels in the order of the probabilities, and what was set on the validation part.

    Attributes
    ----------
    coverage
        Share of pictures whose label set is to hold the right label; the part that set it also chose the model.
    least_probability
        A label belongs to the set if its probability is at least this.
    farthest
        A picture that is farther from every training picture is unfamiliar.
    """

    labels: tuple[str, ...]
    temperature: float
    coverage: float
    least_probability: float
    farthest: float


@dataclass(frozen=True)
class Prediction:
    """What a picture shows.

    Attributes
    ----------
    probabilities
        Calibrated, one for each label.
    label_set
        Numbers of the labels that cannot be ruled out, the most probable first, never empty.
    distance
        To the nearest training picture, as a share of what is usual: above 1 the picture is unfamiliar.
    unsure
        Why no label should be relied on, or None.
    features
        Of the network, as bytes of float16: what the log keeps in place of the picture.
    """

    probabilities: tuple[float, ...]
    label_set: tuple[int, ...]
    distance: float
    unsure: Unsure | None
    features: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class Predictor:
    """Pictures in, predictions out; `kept` has the features of training pictures, `examples` files to try by name."""

    trunk: Trunk
    head: Head
    kept: Floats
    rules: Rules
    examples: Mapping[str, bytes]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels."""
        return self.rules.labels

    def predict(self, inputs: Sequence[Pixels]) -> list[Prediction]:
        """Classify pictures, each uint8 [side, side, 3] as `prepare` returns it; each as if it were alone."""
        return [self._predict(self.trunk.features(pixels)) for pixels in inputs]

    def probabilities(self, features: Floats) -> NDArray[np.float64]:
        """Return calibrated probabilities, shape (n, n_labels), of features of the network."""
        return softmax(self.head.logits(features) / self.rules.temperature)

    def _predict(self, features: Floats) -> Prediction:
        (probabilities,) = self.probabilities(features[None])
        order = np.argsort(-probabilities, kind="stable").tolist()
        label_set = [label for label in order if probabilities[label] >= self.rules.least_probability] or order[:1]
        distance = float(nearest_distances(features[None], self.kept)[0]) / self.rules.farthest
        unsure: Unsure | None = "unfamiliar" if distance > 1 else "ambiguous" if len(label_set) > 1 else None
        kept = features.astype(np.float16).tobytes()
        return Prediction(tuple(probabilities.tolist()), tuple(label_set), distance, unsure, kept)

    def save(self, folder: Path) -> None:
        """Write the model's files into a folder, which is made if need be."""
        (folder / EXAMPLES).mkdir(parents=True, exist_ok=True)
        (folder / GRAPH).write_bytes(self.trunk.graph)
        np.savez(folder / ARRAYS, allow_pickle=False, weight=self.head.weight, bias=self.head.bias, kept=self.kept)
        (folder / RULES).write_text(json.dumps(asdict(self.rules), indent=1), encoding="utf-8")
        for name, picture in self.examples.items():
            (folder / EXAMPLES / f"{name}.jpg").write_bytes(picture)

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Read what `save` wrote; nothing in it can run code."""
        stored = json.loads((folder / RULES).read_text(encoding="utf-8"))
        rules = Rules(**stored | {"labels": tuple(stored["labels"])})
        with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
            head, kept = Head(arrays["weight"], arrays["bias"]), arrays["kept"]
        if head.bias.shape != (len(rules.labels),) or head.weight.shape[1:] != kept.shape[1:]:
            raise ValueError(
                f"{folder}: {len(rules.labels)} labels, weights {head.weight.shape}, features {kept.shape}"
            )
        examples = {path.stem: path.read_bytes() for path in sorted((folder / EXAMPLES).glob("*.jpg"))}
        return cls(Trunk((folder / GRAPH).read_bytes()), head, kept, rules, examples)


def nearest_distances(features: Floats, kept: Floats) -> NDArray[np.float64]:
    """Return 1 - the cosine to the nearest of `kept`, shape (n,): 0 for a picture that is among them.

    Examples
    --------
    >>> nearest_distances(np.array([[0.0, 2.0]]), np.array([[1.0, 0.0], [1.0, 1.0]])).round(3).tolist()
    [0.293]
    """
    unit, known = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (features, kept))
    return np.asarray(1.0 - (unit @ known.T).max(axis=1), dtype=np.float64)
