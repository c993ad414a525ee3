"""The model that is served: ONNX Runtime, NumPy, and the thresholds that make its answers honest."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from image_classifier.data.images import Preprocessing
from image_classifier.models.novelty import Novelty

GRAPH = "model.onnx"
NOVELTY = "novelty.npz"
RULES = "rules.json"
EXAMPLES = "examples"

Unsure = Literal["unfamiliar", "ambiguous"]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Answer:
    """What is said of one picture.

    Attributes
    ----------
    probabilities
        [n_classes], calibrated, sum 1.
    label_set
        Labels that together hold the true one with the stated coverage; the most probable first, never empty.
    unfamiliarity
        Distance to the training pictures over its threshold: above 1 the picture is unlike all of them.
    unsure
        Why no label should be relied on, or None.
    heat
        [h, w] in 0..1: where the evidence for the most probable label lies; None if it was not asked for.
    """

    probabilities: NDArray[np.float64]
    label_set: tuple[int, ...]
    unfamiliarity: float
    unsure: Unsure | None
    heat: NDArray[np.float32] | None


@dataclass(frozen=True)
class Rules:
    """Thresholds found on the validation part.

    Attributes
    ----------
    labels
        Names of the classes, in the order of the probabilities.
    coverage
        Share of pictures whose label set is to hold the true label.
    least_probability
        A label belongs to the set if its probability is at least this.
    least_confidence
        Below this probability of the first label the answer is ambiguous.
    """

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    coverage: float
    least_probability: float
    least_confidence: float


class Predictor:
    """Pictures in, answers out; the same code for evaluation, the command line and the service."""

    def __init__(
        self, graph: bytes, novelty: Novelty, rules: Rules, examples: Mapping[str, bytes] | None = None
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._graph = graph
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._novelty = novelty
        self.rules = rules
        self.examples = dict(examples or {})
        """Pictures to try the model on: JPEG files of the test split by name, so that they fit the classes."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.rules.labels

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes the model's input."""
        return self.rules.preprocessing

    @property
    def coverage(self) -> float:
        """Share of pictures whose label set is to hold the true label."""
        return self.rules.coverage

    def predict(self, pictures: Sequence[Pixels], *, heat: bool = False) -> list[Answer]:
        """Classify pictures.

        Parameters
        ----------
        pictures
            Each uint8 [crop, crop, 3], as `image_classifier.data.images.to_pixels` returns it.
        heat
            Whether the answers shall hold heat maps.
        """
        if not pictures:
            return []
        outputs = ["probabilities", "embedding", *(["maps"] if heat else [])]
        batch = pictures[0][None] if len(pictures) == 1 else np.stack(pictures)  # one is not copied
        probabilities, embedding, *maps = self._session.run(outputs, {"pictures": batch})
        unfamiliarity = self._novelty.score(embedding)
        return [
            self._answer(one, float(far), maps[0][i] if heat else None)
            for i, (one, far) in enumerate(zip(probabilities.astype(np.float64), unfamiliarity, strict=True))
        ]

    def _answer(
        self, probabilities: NDArray[np.float64], unfamiliarity: float, maps: NDArray[np.float32] | None
    ) -> Answer:
        order = np.argsort(-probabilities, kind="stable")
        top = int(order[0])
        within = [int(label) for label in order if probabilities[label] >= self.rules.least_probability]
        unsure: Unsure | None = None
        if unfamiliarity > 1:
            unsure = "unfamiliar"
        elif probabilities[top] < self.rules.least_confidence:
            unsure = "ambiguous"
        return Answer(
            probabilities / probabilities.sum(),
            tuple(within) or (top,),
            unfamiliarity,
            unsure,
            None if maps is None else _to_heat(maps[top]),
        )

    def save(self, directory: Path) -> None:
        """Write the model's files into a folder, which is made if need be."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / GRAPH).write_bytes(self._graph)
        self._novelty.save(directory / NOVELTY)
        (directory / RULES).write_text(json.dumps(asdict(self.rules), indent=1), encoding="utf-8")
        (directory / EXAMPLES).mkdir(exist_ok=True)
        for name, picture in self.examples.items():
            (directory / EXAMPLES / f"{name}.jpg").write_bytes(picture)

    @classmethod
    def load(cls, directory: Path) -> "Predictor":
        """Read what `save` wrote."""
        told = json.loads((directory / RULES).read_text(encoding="utf-8"))
        rules = Rules(
            **told | {"labels": tuple(told["labels"]), "preprocessing": Preprocessing(**told["preprocessing"])}
        )
        examples = {path.stem: path.read_bytes() for path in sorted((directory / EXAMPLES).glob("*.jpg"))}
        return cls((directory / GRAPH).read_bytes(), Novelty.load(directory / NOVELTY), rules, examples)


def _to_heat(evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return positive evidence scaled to 0..1 (Zhou et al. 2016, the class-activation map)."""
    positive = np.maximum(evidence, 0.0)
    return np.asarray(positive / np.float32(max(float(positive.max()), 1e-12)), dtype=np.float32)
