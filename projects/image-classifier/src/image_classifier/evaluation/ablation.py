"""What each part of the training buys: the same budget of epochs for each, measured on the validation part."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from image_classifier.config import DEFAULT_COMPUTE, Compute, ModelSettings
from image_classifier.data.load import Split
from image_classifier.data.photos import labels_of
from image_classifier.evaluation.candidates import fine_tuned, linear_probe
from image_classifier.evaluation.evaluate import measure
from image_classifier.models.trunk import trunk_of
from portfolio_shared.evaluation.classification import fit_temperature, softmax
from portfolio_shared.evaluation.uncertainty import Interval


@dataclass(frozen=True)
class Step:
    """One line of the table: a way to train, and its metrics on the validation part."""

    name: str
    accuracy: Interval
    log_loss: Interval


@dataclass(frozen=True)
class Variant:
    """A way to train: the settings, and whether the head starts as the probe's."""

    name: str
    settings: ModelSettings
    from_probe: bool = True


def variants(settings: ModelSettings) -> list[Variant]:
    """Return what is compared; everything but what the name says is equal."""

    def tuned(**changes: Any) -> ModelSettings:
        return settings.model_copy(update={"tuning": settings.tuning.model_copy(update=changes)})

    return [
        Variant("linear probe", settings.model_copy(update={"recipe": "quick"})),
        Variant("fine-tuned, no augmentation", tuned(augmentation="none")),
        Variant("fine-tuned, basic augmentation", tuned(augmentation="basic")),
        Variant("fine-tuned, strong augmentation", settings),
        Variant("the same, not from the probe's head", settings, from_probe=False),
        Variant("the same, weights not averaged", tuned(averaging=0.0)),
    ]


def ablate(
    split: Split,
    settings: ModelSettings,
    *,
    seed: int = 0,
    compute: Compute = DEFAULT_COMPUTE,
    console: Console | None = None,
    on_step: Callable[[Step], None] = lambda _: None,
) -> list[Step]:
    """Train every variant with the epochs, patience and crop of the settings, and measure it.

    `on_step` is called after each training: what was measured is not lost if the rest is stopped.
    """
    console = console or Console(quiet=True)
    steps = []
    for variant in variants(settings):
        console.print(variant.name)
        steps.append(_measure(variant, split, seed=seed, compute=compute, console=console))
        on_step(steps[-1])
    return steps


def _measure(variant: Variant, split: Split, *, seed: int, compute: Compute, console: Console) -> Step:
    settings = variant.settings
    candidate, head = linear_probe(split, trunk_of(settings, split.train), compute=compute)
    if settings.recipe == "full":
        if compute.work is not None:
            # The head that a training starts from is part of what names its checkpoint.
            start = "probe" if variant.from_probe else "random"
            compute = compute.model_copy(update={"work": compute.work / start})
        start_head = head if variant.from_probe else None
        candidate = fine_tuned(split, settings, start_head, seed=seed, compute=compute, console=console)
    labels, logits = labels_of(split.validation), candidate.model.validation_logits
    metrics = measure(labels, softmax(logits / fit_temperature(labels, logits)), seed=seed)
    return Step(variant.name, metrics["accuracy"], metrics["log_loss"])
