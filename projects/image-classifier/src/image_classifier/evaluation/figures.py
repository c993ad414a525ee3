"""The figures of a training that show numbers; those that show photographs are in `photo_figures.py`.

A title states what the figure shows, so it is made from the same numbers. Each model has one color in all figures.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from image_classifier.data.photos import spread
from image_classifier.evaluation.candidates import FINE_TUNED, FREQUENCIES, PROBE
from image_classifier.evaluation.errors import Group, by_group
from image_classifier.evaluation.evaluate import Evaluation
from image_classifier.evaluation.photo_figures import activation_grid, augmentation_grid, mistake_grid
from image_classifier.evaluation.plain import COLORS, PIXELS
from image_classifier.evaluation.selective import Answered, risk_coverage
from image_classifier.models.fit import Epoch, FittedClassifier
from portfolio_shared.evaluation import figures
from portfolio_shared.evaluation.classification import expected_calibration_error
from portfolio_shared.evaluation.uncertainty import Interval, wilson_interval
from portfolio_shared.results import Candidate

MODEL_COLORS = {
    FINE_TUNED: figures.COLORS[0],
    PROBE: figures.COLORS[1],
    COLORS: figures.COLORS[5],
    PIXELS: figures.COLORS[2],
    FREQUENCIES: figures.MUTED,
}
"""One color for each model in every figure; what is no model of this table is gray."""
LEAST_IN_BIN = 10
"""Pictures below which a bin's accuracy says nothing and is not drawn."""


def draw(evaluation: Evaluation, candidates: Mapping[str, Candidate[FittedClassifier]], folder: Path) -> None:
    """Write every figure of a training into a folder."""
    for candidate in candidates.values():
        if candidate.model.history:
            figures.save_figure(training_curves(candidate.model.history), folder / "training.svg")
        if (tuning := candidate.model.tuning) is not None:
            grid = augmentation_grid(spread(evaluation.split.train, 2), policy=tuning.augmentation, crop=tuning.crop)
            figures.save_figure(grid, folder / "augmentations.png")
    figures.save_figure(confusion(by_group(evaluation)), folder / "confusion.svg")
    stages = {"calibrated": evaluation.probabilities}
    figures.save_figure(reliability_diagram(evaluation.labels, stages), folder / "reliability.svg")
    answered = {"the chosen model": risk_coverage(evaluation.labels, evaluation.probabilities)}
    figures.save_figure(risk_coverage_curve(answered), folder / "risk-coverage.svg")
    figures.save_figure(mistake_grid(evaluation), folder / "mistakes.png")
    figures.save_figure(activation_grid(evaluation.split.test, evaluation.predictor), folder / "activations.png")


@figures.in_house_style
def training_curves(history: Sequence[Epoch]) -> Figure:
    """Draw the loss on augmented training pictures and on the validation part, and mark the epoch that is served."""
    chosen = min(history, key=lambda epoch: epoch.validation_loss)
    best = f"epoch {chosen.number} of {len(history)} is served"
    title = f"Validation loss is lowest at {chosen.validation_loss:.2f}: {best}"
    figure, axes = figures.canvas(height=4.0, title=title)
    numbers = [epoch.number for epoch in history]
    lines = {
        "training, augmented and smoothed": ([epoch.training_loss for epoch in history], figures.MUTED),
        "validation": ([epoch.validation_loss for epoch in history], MODEL_COLORS[FINE_TUNED]),
    }
    for i, (name, (losses, color)) in enumerate(lines.items()):
        axes.plot(numbers, losses, color=color, linestyle=figures.DASHES[i], marker=figures.MARKERS[i], markersize=5)
        axes.annotate(name, (numbers[-1], losses[-1]), (0, -16), textcoords="offset points", ha="right", color=color)
    axes.axvline(chosen.number, color=figures.INK, linewidth=1, linestyle=":")
    axes.annotate(" served", (chosen.number, axes.get_ylim()[1]), va="top", color=figures.INK)
    axes.set(xlabel="Epoch", ylabel="Log loss, before calibration", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


@figures.in_house_style
def confusion(groups: Sequence[Group]) -> Figure:
    """Draw how many pictures of each class (rows) were given each name (columns)."""
    names, counts = [group.name for group in groups], np.array([group.confusion for group in groups])
    worst = min((group for group in groups if group.pictures), key=lambda group: group.recall)
    lost = worst.pictures - worst.confusion[names.index(worst.name)]
    title = f"Of {worst.pictures} {worst.name}, the hardest kind, {lost} get another name"
    figure, axes = figures.canvas(height=1.6 + 0.5 * len(names), title=title)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        ink = "white" if shares[row, column] > 0.5 else figures.INK
        axes.text(column, row, str(count), ha="center", va="center", color=ink)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="what the model said", ylabel="what it was")
    axes.grid(visible=False)
    return figure


@figures.in_house_style
def reliability_diagram(labels: NDArray[np.int64], stages: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Draw accuracy against confidence in bins, with intervals and the number of pictures below; before and after.

    Parameters
    ----------
    labels, stages
        True label numbers [n], and by name the probabilities [n, n_classes], those that are served last.
    """
    errors = {name: expected_calibration_error(labels, rows) for name, rows in stages.items()}
    title = " and ".join(f"{100 * error:.1f} points {name}" for name, error in errors.items())
    figure, axes = figures.canvas(height=5.4, width=6.4, title=f"Confidence and accuracy are apart by {title}")
    figure.delaxes(axes)
    grid = figure.add_gridspec(2, 1, height_ratios=(4, 1))
    top = figure.add_subplot(grid[0])
    low = figure.add_subplot(grid[1], sharex=top)
    top.plot([0, 1], [0, 1], color=figures.MUTED, linestyle="--", linewidth=1)
    colors = [figures.COLORS[4], MODEL_COLORS[FINE_TUNED]][-len(stages) :]
    for i, (name, probabilities) in enumerate(stages.items()):
        sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
        _bins(top, sure, right, color=colors[i], marker=figures.MARKERS[i], label=name)
        low.hist(sure, bins=list(np.linspace(0, 1, 16)), histtype="step", linewidth=1.5, color=colors[i])
    top.set(ylabel="Share that is right", xlim=(0.2, 1.02), ylim=(0.2, 1.03))
    top.legend(frameon=False, loc="lower right")
    top.tick_params(labelbottom=False)
    low.set(xlabel="Confidence of the first label", ylabel="Pictures")
    figures.percent(top.yaxis)
    figures.percent(low.xaxis)
    return figure


def _bins(
    axes: Axes, sure: NDArray[np.float64], right: NDArray[np.bool_], *, color: str, marker: str, label: str
) -> None:
    """Draw a point with its 95 % interval for each bin that has enough pictures."""
    number = np.clip(np.ceil(sure * 15).astype(int) - 1, 0, 14)
    kept = [bin_ for bin_ in range(15) if (number == bin_).sum() >= LEAST_IN_BIN]
    confidence, accuracy = (np.array([values[number == bin_].mean() for bin_ in kept]) for values in (sure, right))
    low, high = wilson_interval(accuracy, np.array([float((number == bin_).sum()) for bin_ in kept]))
    axes.vlines(confidence, low, high, color=color, linewidth=1.5)
    axes.plot(confidence, accuracy, marker, color=color, label=label, markersize=6)


@figures.in_house_style
def risk_coverage_curve(curves: Mapping[str, Sequence[Answered]], served: tuple[float, float] | None = None) -> Figure:
    """Draw the share of wrong answers against the share of pictures that are answered, by model.

    Parameters
    ----------
    served
        Share that the service answers and share of wrong answers among them, by its rules and not by confidence alone.
    """
    first = next(iter(curves.values()))
    part = min(first, key=lambda point: abs(point.coverage - 0.8))
    title = f"Declining the least confident fifth takes errors from {first[-1].error:.1%} to {part.error:.1%}"
    figure, axes = figures.canvas(height=4.2, title=title.replace("%", " %"))
    for i, (name, points) in enumerate(curves.items()):
        x, y, low, high = np.array([(p.coverage, p.error, p.low, p.high) for p in points]).T
        color = MODEL_COLORS.get(name, figures.COLORS[0])
        axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
        axes.plot(x, y, color=color, linestyle=figures.DASHES[i])
        axes.annotate(name, (x[-1], y[-1]), (-6, 8), textcoords="offset points", ha="right", color=color)
    if served is not None:
        axes.plot(*served, "o", color=figures.INK, markersize=7)
        axes.annotate("as served ", served, (-4, -14), textcoords="offset points", ha="right", color=figures.INK)
    axes.set(
        xlabel="Share of the flowers that is answered", ylabel="Share of the answers that is wrong", ylim=(0, None)
    )
    figures.percent(axes.xaxis)
    figures.percent(axes.yaxis)
    return figure


@figures.in_house_style
def staircase(steps: Mapping[str, Interval], *, title: str) -> Figure:
    """Draw the accuracy of each way to name the picture, the worst on top, with its interval."""
    figure, axes = figures.canvas(height=1.0 + 0.42 * len(steps), title=title)
    for row, (name, interval) in enumerate(steps.items()):
        color = MODEL_COLORS.get(name, figures.COLORS[3])
        axes.barh(row, interval.estimate, height=0.62, color=color)
        axes.hlines(row, interval.low, interval.high, color=figures.INK, linewidth=1.5)
        axes.annotate(f"{interval.estimate:.1%}".replace("%", " %"), (1.01, row), va="center", annotation_clip=False)
    axes.set_yticks(range(len(steps)), list(steps))
    axes.set(ylim=(len(steps) - 0.5, -0.5), xlim=(0, 1), xlabel="Test photographs that are named right")
    axes.grid(visible=False, axis="y")
    figures.percent(axes.xaxis)
    return figure
