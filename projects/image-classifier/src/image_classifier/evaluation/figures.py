"""The figures of a training: numbers as SVG, pictures as PNG. A README shows photographs of the sample alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from image_classifier.config import Augmentation
from image_classifier.data.images import read_image
from image_classifier.data.photos import TRUSTED, Photo, first_of_each, pixels_of, spread
from image_classifier.data.preprocessing import Pixels
from image_classifier.evaluation.errors import Group, by_group
from image_classifier.evaluation.evaluate import Evaluation, predictions_of
from image_classifier.models.fit import Epoch, FittedClassifier
from image_classifier.models.predictor import Predictor
from portfolio_shared.evaluation import charts, figures
from portfolio_shared.evaluation.classification import reliability
from portfolio_shared.results import Candidate

N_GRID = 12


def draw(evaluation: Evaluation, candidates: Mapping[str, Candidate[FittedClassifier]], folder: Path) -> None:
    """Write every figure of a training into a folder."""
    draw_numbers(evaluation, candidates, folder)
    for candidate in candidates.values():
        if (tuning := candidate.model.tuning) is not None:
            photos = spread(evaluation.split.train, 3)
            grid = augmentation_grid(photos, policy=tuning.augmentation, crop=tuning.crop)
            figures.save_figure(grid, folder / "augmentations.png")
    figures.save_figure(mistake_grid(evaluation), folder / "mistakes.png")
    figures.save_figure(activation_grid(evaluation.split.test, evaluation.predictor), folder / "activations.png")


def draw_numbers(evaluation: Evaluation, candidates: Mapping[str, Candidate[FittedClassifier]], folder: Path) -> None:
    """Write the figures that show no photograph."""
    for candidate in candidates.values():
        if candidate.model.history:
            figures.save_figure(training_curves(candidate.model.history), folder / "training.svg")
    groups, shares = by_group(evaluation), evaluation.out_of_distribution
    figures.save_figure(confusion(groups), folder / "confusion.svg")
    figures.save_figure(precision_and_recall(groups), folder / "precision_recall.svg")
    bins = reliability(evaluation.labels, evaluation.probabilities)
    figures.save_figure(reliability_diagram(bins), folder / "reliability.svg")
    title = "Pictures of none of the classes"
    bars = charts.horizontal_bars(list(shares), list(shares.values()), xlabel="called unsure", title=title, shares=True)
    figures.save_figure(bars, folder / "out-of-distribution.svg")


def training_curves(history: Sequence[Epoch]) -> Figure:
    """Draw loss on augmented training pictures and on the validation part, epoch by epoch."""
    training = [epoch.training_loss for epoch in history]
    validation = [epoch.validation_loss for epoch in history]
    return charts.line_with_band(
        [epoch.number for epoch in history],
        {"training, augmented": (training,) * 3, "validation": (validation,) * 3},
        xlabel="Epoch",
        ylabel="Log loss",
        title="Losses: training with augmentation and smoothed labels, validation without",
    )


@figures.in_house_style
def confusion(groups: Sequence[Group]) -> Figure:
    """Draw how many pictures of each class (rows) were given each name (columns)."""
    names, counts = [group.name for group in groups], np.array([group.confusion for group in groups])
    figure, axes = figures.canvas(height=1.6 + 0.5 * len(names), title="Test pictures by true and by named class")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        ink = "white" if shares[row, column] > 0.5 else figures.INK
        axes.text(column, row, str(count), ha="center", va="center", color=ink)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="named", ylabel="true")
    axes.grid(visible=False)
    return figure


@figures.in_house_style
def precision_and_recall(groups: Sequence[Group]) -> Figure:
    """Draw precision and recall of each class."""
    figure, axes = figures.canvas(height=1.4 + 0.45 * len(groups), title="Precision and recall of each class, test")
    rows = np.arange(len(groups))
    for i, label in enumerate(("precision", "recall")):
        values = np.array([getattr(group, label) for group in groups], dtype=float)  # None becomes NaN: no marker
        offset = (i - 0.5) * 0.24
        axes.plot(values, rows + offset, figures.MARKERS[i], color=figures.COLORS[i], markersize=8, label=label)
    axes.set_yticks(rows, [group.name for group in groups])
    axes.invert_yaxis()
    axes.margins(y=0.1)
    figures.percent(axes.xaxis)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)  # above the axes: it covers no marker
    return figure


@figures.in_house_style
def reliability_diagram(bins: Sequence[tuple[float, float, float]]) -> Figure:
    """Draw accuracy against confidence; the area of a dot is the share of the pictures in its bin."""
    figure, axes = figures.canvas(height=4.6, width=5.2, title="Accuracy by confidence")
    confidence, accuracy, share = np.array(bins).T
    axes.plot([0, 1], [0, 1], color=figures.MUTED, linestyle="--", linewidth=1)
    axes.scatter(confidence, accuracy, s=20 + 600 * share, color=figures.COLORS[0], alpha=0.75)
    axes.set(xlabel="Confidence of the first label", ylabel="Accuracy", xlim=(0, 1.03), ylim=(0, 1.05))
    return figure


def augmentation_grid(photos: Sequence[Photo], *, policy: Augmentation, crop: int, seed: int = 0) -> Figure:
    """Show photographs and, beside each, what training makes of them."""
    import torch

    from image_classifier.models.batches import augmentation

    augment = augmentation(policy, crop)
    pictures: list[Pixels] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for photo in photos:
            image = read_image(photo.path.read_bytes(), limits=TRUSTED)
            pictures.append(np.asarray(image.resize((crop, crop), Image.Resampling.BILINEAR)))
            pictures += [augment(image).permute(1, 2, 0).numpy() for _ in range(5)]
    captions = [["as it is", *([""] * 5)][i % 6] for i in range(len(pictures))]
    return picture_grid(pictures, captions, columns=6, title=f"Augmentation: {policy}")


def mistake_grid(evaluation: Evaluation) -> Figure:
    """Show the test pictures that were named wrongly with the most confidence."""
    probabilities, names = evaluation.probabilities, evaluation.predictor.labels
    named, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(named != evaluation.labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:N_GRID]
    pictures = [pixels_of(evaluation.split.test[i], evaluation.predictor.preprocessing) for i in worst]
    captions = [f"{names[evaluation.labels[i]]}, named\n{names[named[i]]} ({confidence[i]:.0%})" for i in worst]
    return picture_grid(pictures, captions, columns=6, title="The most confident mistakes")


def activation_grid(photos: Sequence[Photo], predictor: Predictor) -> Figure:
    """Show test pictures and where the evidence for their name lies."""
    chosen = first_of_each(photos)[:6]
    plain = [pixels_of(photo, predictor.preprocessing) for photo in chosen]
    predictions = predictions_of(predictor, chosen, heat=True)
    shown = [overlay(pixels, prediction.heat) for pixels, prediction in zip(plain, predictions, strict=True)]
    names = [predictor.labels[int(prediction.probabilities.argmax())] for prediction in predictions]
    captions = [*["" for _ in chosen], *names]
    title = "Where the evidence lies (class-activation maps)"
    return picture_grid([*plain, *shown], captions, columns=len(chosen), title=title)


def overlay(pixels: Pixels, heat: NDArray[np.float32] | None) -> Pixels:
    """Return the picture with the parts that do not speak for the label darkened."""
    if heat is None:
        raise ValueError("the prediction has no heat map: ask for it")
    large = Image.fromarray((heat * 255).astype(np.uint8)).resize(pixels.shape[1::-1], Image.Resampling.BICUBIC)
    share = 0.25 + 0.75 * np.asarray(large, dtype=np.float64)[:, :, None] / 255
    return np.asarray(pixels * share, dtype=np.uint8)


@figures.in_house_style
def picture_grid(pictures: Sequence[ArrayLike], captions: Sequence[str], *, columns: int, title: str) -> Figure:
    """Show pictures in rows with a caption below each; an empty grid says so."""
    rows = max(1, -(-len(pictures) // columns))
    figure, whole = figures.canvas(height=0.6 + 1.45 * rows, title=title)
    whole.set_axis_off()
    if not pictures:
        whole.text(0.5, 0.5, "There are none.", ha="center")
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(np.asarray(picture))
        axes.set_axis_off()
        axes.set_title(caption, fontsize=8, y=-0.28)
    return figure
