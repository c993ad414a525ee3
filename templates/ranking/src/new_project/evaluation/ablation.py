"""What each part of the model is worth, on the validation part."""

from dataclasses import dataclass

from new_project.config import ModelSettings
from new_project.data.load import Split
from new_project.evaluation.evaluate import make_task, measure
from new_project.models.fit import EASE, NEIGHBORS, POPULARITY, RECENT, fit_model


@dataclass(frozen=True)
class Step:
    """One row of the ablation: nDCG on the validation part, with its 95 % interval over users."""

    name: str
    ndcg: float
    low: float
    high: float


def ablate(split: Split, settings: ModelSettings, *, seed: int = 0) -> list[Step]:
    """Measure the steps from popularity to what is served, and that with other penalties and half-lives."""
    task = make_task(split.train, split.validation, split.items)
    steps = [(name, name, settings) for name in (POPULARITY, NEIGHBORS, EASE, RECENT)]
    for field in ("penalty", "half_life"):
        for value in (getattr(settings, field) * factor for factor in (0.3, 3)):
            label = f"{RECENT}, {field.replace('_', '-')} {value:g}"
            steps.append((label, RECENT, settings.model_copy(update={field: value})))
    fitted = ((name, fit_model(model, split.train, split.items, each)) for name, model, each in steps)
    return [Step(name, *measure(predictor, task, seed=seed).metrics["ndcg"]) for name, predictor in fitted]
