"""What a report measures beyond one training: how much data helps, of what errors consist, when silence helps."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from image_classifier.config import Compute, ModelSettings
from image_classifier.data.load import Split
from image_classifier.data.photos import labels_of
from image_classifier.evaluation.bias_variance import bias_and_variance
from image_classifier.evaluation.conditions import by_third, changed
from image_classifier.evaluation.evaluate import Evaluation, images_unsure, measure
from image_classifier.evaluation.learning_curve import learning_curve
from image_classifier.evaluation.near_pictures import near_pictures
from image_classifier.evaluation.photo_figures import mistakes_of
from image_classifier.evaluation.plain import COLORS, DESCRIPTIONS, PIXELS, by_description, by_pixels
from image_classifier.evaluation.selective import risk_coverage
from image_classifier.models.trunk import trunk_of
from portfolio_shared.evaluation.classification import accuracy_score, reliability, softmax
from portfolio_shared.evaluation.uncertainty import paired_bootstrap


def record_studies(
    split: Split,
    settings: ModelSettings,
    evaluations: Mapping[str, Evaluation],
    *,
    temperature: float,
    compute: Compute,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure the studies, as JSON types.

    Parameters
    ----------
    evaluations
        By name of the model, that which is served first.
    temperature
        By which its logits were divided.
    """
    labels, trunk = labels_of(split.test), trunk_of(settings, split.train)
    chosen = next(iter(evaluations.values()))
    right = {name: each.probabilities.argmax(axis=1) == labels for name, each in evaluations.items()}
    predictors = {name: each.predictor for name, each in evaluations.items()}
    plain = {PIXELS: by_pixels(split), COLORS: by_description(split, DESCRIPTIONS[COLORS])}
    return {
        "plain": {name: _intervals(labels, rows, seed) for name, rows in plain.items()},
        "learning_curve": [asdict(each) for each in learning_curve(split, trunk, compute=compute, seed=seed)],
        "bias_variance": [asdict(each) for each in bias_and_variance(split, trunk, compute=compute, seed=seed)],
        "thirds": [asdict(third) for third in by_third(split.test, right)],
        "changed": [asdict(each) for each in changed(split.test, labels, predictors, threads=compute.threads)],
        "risk_coverage": {
            name: [asdict(point) for point in risk_coverage(labels, each.probabilities)]
            for name, each in evaluations.items()
        },
        "calibration_test": calibration_on_test(labels, chosen.probabilities, temperature, seed=seed),
        "declined": {name: declined(each) for name, each in evaluations.items()},
        "mistakes": [
            {
                "file": each.photo.name,
                "was": each.was,
                "said": each.said,
                "confidence": each.confidence,
                "unsure": each.unsure,
            }
            for each in mistakes_of(chosen)
        ],
        "gain": gain(labels, evaluations, seed=seed),
        "sides": {
            "probe": trunk.preprocessing.crop,
            "training": settings.tuning.crop,
            "served": chosen.predictor.preprocessing.crop,
        },
    }


def uncalibrated(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return what the softmax says without the temperature, of probabilities with it [n, n_classes]."""
    return softmax(temperature * np.log(np.maximum(probabilities, 1e-12)))


def calibration_on_test(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], temperature: float, *, seed: int = 0
) -> dict[str, Any]:
    """Return metrics and bins of the test part before the temperature and after it."""
    stages = {"before": uncalibrated(probabilities, temperature), "after": probabilities}
    return {
        name: {"metrics": _intervals(labels, rows, seed), "bins": reliability(labels, rows)}
        for name, rows in stages.items()
    }


def declined(evaluation: Evaluation) -> dict[str, Any]:
    """Return which share of pictures of none of the kinds a model declines, and what it says of two photographs."""
    near = {kind: images_unsure(evaluation.predictor, images) for kind, images in near_pictures().items()}
    return {
        "near": near,
        "far": evaluation.out_of_distribution,
        "flowers": evaluation.metrics["unsure"].estimate,
        "right_if_sure": evaluation.metrics["accuracy_if_sure"].estimate,
        "far_mean": evaluation.metrics["unsure_out_of_distribution"].estimate,
        "photographs": {
            name: {
                "label": evaluation.predictor.labels[prediction.label_set[0]],
                "probability": float(prediction.probabilities.max()),
                "unsure": prediction.unsure,
            }
            for name, prediction in evaluation.sample_photographs.items()
        },
    }


def gain(labels: NDArray[np.int64], evaluations: Mapping[str, Evaluation], *, seed: int = 0) -> dict[str, Any] | None:
    """Return by how much more of the same test pictures the first model names right than the second, or None."""
    if len(evaluations) < 2:
        return None
    ours, theirs = (each.probabilities for each in list(evaluations.values())[:2])

    def wrong(true: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
        return 1 - accuracy_score(true, probabilities)

    difference = paired_bootstrap(wrong, labels, theirs, ours, seed=seed).difference
    only = [
        int(((a.argmax(axis=1) == labels) & (b.argmax(axis=1) != labels)).sum())
        for a, b in ((ours, theirs), (theirs, ours))
    ]
    return {
        "accuracy": {"estimate": -difference.estimate, "low": -difference.high, "high": -difference.low},
        "mended": only[0],
        "broken": only[1],
    }


def _intervals(labels: NDArray[np.int64], probabilities: NDArray[np.float64], seed: int) -> dict[str, Any]:
    return {name: value._asdict() for name, value in measure(labels, probabilities, seed=seed).items()}
