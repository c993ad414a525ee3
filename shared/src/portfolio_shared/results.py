"""What a training compares and leaves: a candidate, and everything that followed from the choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import JsonValue

from portfolio_shared.data.checks import DataReport
from portfolio_shared.data.sources import Source
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.operations.lessons import Lessons


class Dataset(Protocol):
    """What `load` returns in every project, beside the rows: where they come from, and what was done to them."""

    @property
    def source(self) -> Source:
        """Which data these are, and why."""

    @property
    def report(self) -> DataReport:
        """What was read, repaired, excluded and kept."""


class Predictor(Protocol):
    """What is served: `predict` and `save` here, and a class method `load` that reads what `save` wrote."""

    def predict(self, inputs: Any, /) -> Sequence[Any]:
        """Return one prediction for each input."""

    def save(self, folder: Path, /) -> None:
        """Write the parameters into a folder, which is made if need be."""


class Evaluation(Protocol):
    """What the test split says of a predictor."""

    @property
    def metrics(self) -> Mapping[str, Interval]:
        """Name -> estimate with its 95 % bootstrap interval."""


D = TypeVar("D", bound=Dataset)
S = TypeVar("S")
M = TypeVar("M")
H = TypeVar("H")
P = TypeVar("P", bound=Predictor)
E = TypeVar("E", bound=Evaluation)


@dataclass(frozen=True)
class Candidate(Generic[M]):
    """A model that was compared on the validation part.

    Attributes
    ----------
    metrics
        On the validation part, and what the fit cost; for tables and for the run's log.
    model
        What was fitted, in the form in which the project goes on with it.
    servable
        Whether it may be chosen.
    """

    name: str
    metrics: dict[str, float]
    model: M
    servable: bool = True


@dataclass(frozen=True)
class Trained(Generic[D, S, M, H, P, E]):
    """What a training leaves: the model, what it was compared with, and what the test split says.

    Attributes
    ----------
    data, split
        What was read, and its parts.
    candidates
        By name, best first, compared on the validation part.
    chosen
        Name of the candidate that is served.
    settings
        Its hyper-parameters.
    predictor
        What is served.
    evaluation
        Of the predictor on the test split.
    baselines
        The metrics of other candidates on the same test split, by name.
    details
        What the fit measured on the way, such as the cost of 8-bit weights; for the manifest and the report.
    lessons
        What feedback taught, after all limits; None for a training on data alone.
    """

    data: D
    split: S
    candidates: dict[str, Candidate[M]]
    chosen: str
    settings: H
    predictor: P
    evaluation: E
    baselines: dict[str, dict[str, Interval]]
    details: dict[str, JsonValue] = field(default_factory=dict)
    lessons: Lessons | None = None
