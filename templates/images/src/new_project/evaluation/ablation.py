"""What each part of the model is worth, on the validation part."""

from dataclasses import dataclass

from new_project.config import ModelSettings
from new_project.data.load import Split
from new_project.evaluation.evaluate import accuracy_and_loss
from new_project.models.fit import COLORS, FREQUENT, PROBE, fit_model, inputs_of
from portfolio_shared.evaluation.classification import softmax

STRENGTHS = (0.01, 1.0)


@dataclass(frozen=True)
class Step:
    """One row of the ablation: log loss and accuracy on the validation part."""

    name: str
    log_loss: float
    accuracy: float


def ablate(split: Split, settings: ModelSettings, *, seed: int = 0) -> list[Step]:
    """Measure the steps from the most frequent label to what is served, that without a temperature, other strengths."""
    del seed
    truth = split.validation.numbers(split.labels)
    served = fit_model(PROBE, split, settings)
    steps = {name: fit_model(name, split, settings).probabilities(split.validation) for name in (FREQUENT, COLORS)}
    steps[f"{PROBE}, without a temperature"] = softmax(served.head.logits(inputs_of(PROBE, split.validation)))
    steps[f"{PROBE}, as served"] = served.probabilities(split.validation)
    for strength in STRENGTHS:
        other = fit_model(PROBE, split, settings.model_copy(update={"strength": strength}))
        steps[f"{PROBE}, strength {strength:g}"] = other.probabilities(split.validation)
    measured = {name: accuracy_and_loss(probabilities, truth) for name, probabilities in steps.items()}
    return [
        Step(name, float(each["log_loss"].mean()), float(each["accuracy"].mean())) for name, each in measured.items()
    ]
