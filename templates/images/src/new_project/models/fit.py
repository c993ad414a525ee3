"""What learns: a logistic regression on frozen features, and its baselines; and the step to a predictor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from new_project.config import COVERAGE, UNFAMILIAR, ModelSettings
from new_project.data.load import Part, Split
from new_project.models.features import features_of, shipped_trunk
from new_project.models.predictor import Head, Predictor, Rules, nearest_distances
from portfolio_shared.evaluation.classification import fit_temperature, label_set_threshold, softmax
from portfolio_shared.evaluation.conformal import conformal_quantile
from portfolio_shared.results import Candidate

FREQUENT, COLORS, PROBE = "most frequent label", "colors", "probe on a frozen network"


@dataclass(frozen=True)
class Fitted:
    """A linear layer, and which features it stands on; its probabilities are calibrated on the validation part."""

    kind: str
    head: Head
    temperature: float

    def probabilities(self, part: Part) -> NDArray[np.float64]:
        """Return calibrated probabilities, shape (len(part), n_labels)."""
        return softmax(self.head.logits(inputs_of(self.kind, part)) / self.temperature)


def inputs_of(kind: str, part: Part) -> NDArray[np.float32]:
    """Return what a model of this kind looks at."""
    network, colors = features_of(part)
    return {FREQUENT: np.zeros((len(part), 1), dtype=np.float32), COLORS: colors, PROBE: network}[kind]


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def fit_model(kind: str, split: Split, settings: ModelSettings) -> Fitted:
    """Fit a model of this kind on the training part, and its temperature on the validation part (Guo et al. 2017)."""
    inputs, labels = inputs_of(kind, split.train), split.train.numbers(split.labels)
    scale = inputs.std() or 1.0  # one strength means the same for colors as for a network
    regression = LogisticRegression(C=settings.strength, max_iter=3000).fit(inputs / scale, labels)
    weight, bias = regression.coef_ / scale, regression.intercept_
    if len(weight) == 1:  # scikit-learn has one row for two labels
        weight, bias = (np.concatenate([np.zeros_like(row), row]) for row in (weight, bias))
    head = Head(weight, bias)
    logits = head.logits(inputs_of(kind, split.validation))
    return Fitted(kind, head, fit_temperature(split.validation.numbers(split.labels), logits))


def fit(split: Split, settings: ModelSettings, chosen: Candidate[Fitted], *, seed: int = 0) -> Predictor:
    """Return the predictor of the chosen candidate, its thresholds set on the validation part.

    That part has set the temperature too, and compared the candidates: a folder of a few hundred pictures has none to
    spare for a part of its own for each. What the label sets promise holds exactly for thresholds whose pictures
    decided nothing else, so README.md sets it beside what the test part measured.

    Raises
    ------
    ValueError
        If the candidate does not stand on the network, or the validation part is too small for the coverage.
    """
    if chosen.model.kind != PROBE:
        raise ValueError(f"{chosen.name} cannot be served; expected {PROBE}")
    learned, held_out = (features_of(part)[0] for part in (split.train, split.validation))
    kept = np.sort(np.random.default_rng(seed).permutation(len(learned))[: settings.most_kept])
    labels = split.validation.numbers(split.labels)
    rules = Rules(
        labels=split.labels,
        temperature=chosen.model.temperature,
        coverage=COVERAGE,
        least_probability=label_set_threshold(labels, chosen.model.probabilities(split.validation), coverage=COVERAGE),
        farthest=conformal_quantile(nearest_distances(held_out, learned[kept]), coverage=1 - UNFAMILIAR),
    )
    examples = {label: _example(split, label) for label in split.labels}
    return Predictor(shipped_trunk(), chosen.model.head, learned[kept], rules, examples)


def _example(split: Split, label: str) -> bytes:
    """Return a picture of the test to try the model on."""
    return next(picture.path.read_bytes() for picture in split.test.pictures if picture.label == label)
