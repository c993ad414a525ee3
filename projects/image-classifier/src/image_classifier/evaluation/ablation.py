"""What each part of the training buys: the same budget of epochs for each, measured on the validation part."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console

from image_classifier.config import AblationConfig, FineTuneSettings, TrainConfig
from image_classifier.data.load import Photos, Splits, load_photos, split_photos
from image_classifier.evaluation.candidates import fine_tuned, probed
from image_classifier.evaluation.evaluate import measure
from image_classifier.models.backbones import build_backbone
from image_classifier.models.batches import labels_of
from image_classifier.models.network import Classifier, Normalize
from image_classifier.models.plan import USUAL, Plan
from portfolio_shared.cli import counting
from portfolio_shared.evaluation.classification import fit_temperature, softmax
from portfolio_shared.evaluation.sections import markdown_table, with_interval
from portfolio_shared.evaluation.uncertainty import Interval


@dataclass(frozen=True)
class Step:
    """One line of the table: its name, and the fine-tuning's settings; None for the probe alone."""

    name: str
    settings: FineTuneSettings | None
    pretrained: bool = True
    from_probe: bool = True


def steps(epochs: int, crop: int) -> list[Step]:
    """Return what is compared; everything but what the name says is equal."""
    usual = FineTuneSettings(epochs=epochs, patience=epochs, crop=crop)

    def with_(**changes: Any) -> FineTuneSettings:
        return usual.model_copy(update=changes)

    return [
        Step("from scratch, strong augmentation", with_(rate=2e-3), pretrained=False, from_probe=False),
        Step("linear probe", None),
        Step("fine-tuned, no augmentation", with_(augmentation="none")),
        Step("fine-tuned, basic augmentation", with_(augmentation="basic")),
        Step("fine-tuned, strong augmentation", usual),
        Step("the same, not from the probe's head", usual, from_probe=False),
        Step("the same, weights not averaged", with_(averaging=0.0)),
    ]


def ablation(config: AblationConfig, console: Console | None = None) -> None:
    """Train every step and write what the validation part says of it."""
    console = console or Console()
    photos = load_photos(config.data)
    splits = split_photos(photos.photos, labels=photos.labels, seed=config.seed)
    torch.set_num_threads(config.threads)
    rows: list[dict[str, Any]] = []
    for step in steps(config.epochs, config.crop):
        console.print(step.name)
        metrics = _measure(step, photos, splits, config, console)
        rows.append({"name": step.name, **{name: metrics[name]._asdict() for name in ("accuracy", "log_loss")}})
        # Written after each step: what was measured is not lost if the rest is stopped.
        recorded = {"epochs": config.epochs, "crop": config.crop, "data": photos.name, "steps": rows}
        config.output.parent.mkdir(parents=True, exist_ok=True)
        config.output.write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    console.print(f"Written: {config.output}")


def _measure(
    step: Step, photos: Photos, splits: Splits, config: AblationConfig, console: Console
) -> dict[str, Interval]:
    torch.manual_seed(config.seed)
    backbone = build_backbone(USUAL, config.weights if step.pretrained else "none")
    settings = step.settings or FineTuneSettings()
    classifier = Classifier(backbone, len(photos.labels), dropout=settings.dropout)
    normalize = Normalize(backbone.mean, backbone.std)
    training = TrainConfig(tracking_uri="", work=config.work, seed=config.seed, threads=config.threads)
    candidate = None
    if step.from_probe:
        with counting("features of the pretrained backbone", "pictures") as advance:
            candidate = probed(classifier, normalize, backbone, splits, training, advance=advance)
    if step.settings is not None:
        planned = Plan(photos, USUAL, config.weights, step.settings, "")
        # The head that a training starts from is part of what names its checkpoint.
        training = training.model_copy(update={"work": config.work / ("probe" if step.from_probe else "random")})
        candidate = fine_tuned(
            classifier, normalize, backbone, splits, planned=planned, config=training, console=console
        )
    if candidate is None:
        raise ValueError(f"{step.name}: neither probe nor fine-tuning")
    labels = labels_of(splits.validation)
    logits = candidate.validation_logits
    return measure(labels, softmax(logits / fit_temperature(labels, logits)), seed=config.seed)


def ablation_table(recorded: Mapping[str, Any]) -> str:
    """Return what `ablation` has written as a table."""
    rows = [
        [step["name"], with_interval(Interval(**step["accuracy"])), with_interval(Interval(**step["log_loss"]))]
        for step in recorded["steps"]
    ]
    heading = f"{recorded['epochs']} epochs at {recorded['crop']} pixels"
    return markdown_table([heading, "validation accuracy", "validation log loss"], rows)
