"""The served model: what it holds, how it predicts, how it is stored. It needs NumPy alone; fitting is `fit.py`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from new_project.data.columns import Record, schema
from new_project.models.features import Encoding
from new_project.models.members import MEMBERS, Ridge, Trees
from portfolio_shared.evaluation.classification import softmax

Floats = NDArray[np.float64]

CELLS, NUMBERS = ("prediction", "probability", "classes"), ("probability",)
"""What a file of rows gets, and what of it is numbers."""
WITH = "a probability for each class"
"""What a prediction comes with."""

LEAST = 0.001
"""A class counts in a loss as at least so probable: one row more or less decides nothing."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one row.

    `classes` is the set that holds the truth with probability `coverage`, the most probable first; `filled` lists what
    was left open, `warnings` what lies outside of the data.
    """

    value: str
    probability: float
    probabilities: dict[str, float]
    classes: list[str]
    coverage: float
    filled: list[str]
    warnings: list[str]

    @property
    def is_sound(self) -> bool:
        """Return whether the class has a probability, and is in its own set."""
        return 0 < self.probability <= 1 and self.value in self.classes


def as_logits(outputs: Floats) -> Floats:
    """Return a logit for each class, shape (n, K): of two classes a member has one, that of the second."""
    return np.concatenate([np.zeros_like(outputs), outputs], axis=1) if outputs.shape[1] == 1 else outputs


@dataclass(frozen=True)
class Predictor:
    """A fitted model.

    Attributes
    ----------
    temperature
        Logits are divided by it.
    thresholds
        A class that is at least so probable belongs to the set, shape (K,), and so does the most probable one.
    """

    encoding: Encoding
    member: Ridge | Trees
    temperature: float
    thresholds: Floats
    coverage: float

    def predict(self, inputs: Sequence[Record]) -> list[Prediction]:
        """Predict for rows, whose columns may be missing or None."""
        return [self._answer(row, found) for row, found in zip(inputs, self.probabilities(inputs), strict=True)]

    def _answer(self, row: Record, found: Floats) -> Prediction:
        names = schema().target.classes
        order = np.argsort(-found, kind="stable").tolist()
        likely = [names[place] for place in order if found[place] >= self.thresholds[place] or place == order[0]]
        return Prediction(
            value=names[order[0]],
            probability=float(found[order[0]]),
            probabilities={names[place]: float(found[place]) for place in order},
            classes=likely,
            coverage=self.coverage,
            filled=self.encoding.filled(row),
            warnings=self.encoding.warnings(row),
        )

    def probabilities(self, records: Sequence[Record]) -> Floats:
        """Return the probability of each class, shape (n, K)."""
        if not records:
            return np.empty((0, len(schema().target.classes)))
        return softmax(as_logits(self.member.predict(self.encoding.matrix(records))) / self.temperature)

    def cells(self, records: Sequence[Record]) -> list[tuple[str, ...]]:
        """Return the `CELLS` of each row; the classes as a list of JSON, because a name may have any separator."""
        return [
            (found.value, f"{found.probability:.10g}", json.dumps(found.classes, ensure_ascii=False))
            for found in self.predict(records)
        ]

    def losses(self, records: Sequence[Record], target: Floats) -> Floats:
        """Return the log loss of each row, shape (n,), with no class less probable than `LEAST`."""
        found = self.probabilities(records)[np.arange(len(target)), target.astype(np.int64)]
        return -np.log(np.maximum(found, LEAST))

    def save(self, folder: Path) -> None:
        """Write the parameters: arrays as npz, the rest as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / "member.npz", allow_pickle=False, **asdict(self.member))
        kind = next(name for name, kind in MEMBERS.items() if isinstance(self.member, kind))
        rest = {"kind": kind, "temperature": self.temperature, "coverage": self.coverage}
        rest |= {"thresholds": self.thresholds.tolist()}
        text = json.dumps(rest | {"encoding": asdict(self.encoding)}, indent=1)
        (folder / "model.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Read the parameters that `save` wrote; the caller has verified the bundle's hashes."""
        rest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        stored = rest["encoding"]
        ranges = {name: (low, median, high) for name, (low, median, high) in stored["ranges"].items()}
        encoding = Encoding(ranges, stored["codes"], stored["columns"])
        with np.load(folder / "member.npz", allow_pickle=False) as arrays:
            member = MEMBERS[rest["kind"]](**arrays)
        return cls(encoding, member, rest["temperature"], np.array(rest["thresholds"]), rest["coverage"])
