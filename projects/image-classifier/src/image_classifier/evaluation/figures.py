"""The figures of a training: numbers as SVG, pictures as PNG. Real photographs go to MLflow only, not to a README."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from image_classifier.data.images import read_image
from image_classifier.data.load import Photo
from image_classifier.evaluation.evaluate import Evaluation, answers_of
from image_classifier.models.augment import augmentation
from image_classifier.models.batches import TRUSTED, spread
from image_classifier.models.finetune import Epoch
from image_classifier.models.fit import pixels_of
from image_classifier.models.predictor import Predictor
from portfolio_shared.evaluation import figures
from portfolio_shared.evaluation.classification import precision_scores, recall_scores, reliability

if TYPE_CHECKING:
    from image_classifier.train import Trained

N_GRID = 12
Pixels = NDArray[np.uint8]


def draw(trained: "Trained", folder: Path) -> None:
    """Write every figure of a training into a folder."""
    evaluation, photos = trained.evaluation, spread(trained.splits.train, 3)
    draw_numbers(trained, folder)
    policy = trained.plan.settings.augmentation
    grid = augmentation_grid(photos, policy=policy, crop=trained.plan.settings.crop)
    figures.save_figure(grid, folder / "augmentations.png")
    figures.save_figure(mistake_grid(evaluation, trained.predictor), folder / "mistakes.png")
    figures.save_figure(activation_grid(trained.splits.test, trained.predictor), folder / "activations.png")


def draw_numbers(trained: "Trained", folder: Path) -> None:
    """Write the figures that show no photograph."""
    evaluation, names = trained.evaluation, trained.predictor.labels
    for candidate in trained.candidates.values():
        if candidate.history:
            figures.save_figure(training_curves(candidate.history), folder / "training.svg")
    figures.save_figure(confusion(names, evaluation.confusion), folder / "confusion.svg")
    figures.save_figure(precision_and_recall(names, evaluation.confusion), folder / "precision_recall.svg")
    bins = reliability(evaluation.labels, evaluation.probabilities)
    figures.save_figure(reliability_diagram(bins), folder / "reliability.svg")
    strangers = evaluation.strangers
    bars = figures.horizontal_bars(
        list(strangers), list(strangers.values()), xlabel="share called unsure", title="Pictures of none of the classes"
    )
    figures.save_figure(bars, folder / "strangers.svg")


def training_curves(history: Sequence[Epoch]) -> Figure:
    """Draw loss on augmented training pictures and on the validation part, epoch by epoch."""
    training = [epoch.training_loss for epoch in history]
    validation = [epoch.validation_loss for epoch in history]
    return figures.line_with_band(
        [epoch.number for epoch in history],
        {"training, augmented": (training,) * 3, "validation": (validation,) * 3},
        xlabel="Epoch",
        ylabel="Log loss",
        title="Losses: training with augmentation and smoothed labels, validation without",
    )


@figures.in_house_style
def confusion(names: Sequence[str], counts: NDArray[np.int64]) -> Figure:
    """Draw how many pictures of each class (rows) were given each name (columns)."""
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
def precision_and_recall(names: Sequence[str], counts: NDArray[np.int64]) -> Figure:
    """Draw precision and recall of each class."""
    figure, axes = figures.canvas(height=1.4 + 0.45 * len(names), title="Precision and recall of each class, test")
    rows = np.arange(len(names))
    for i, (label, values) in enumerate((("precision", precision_scores(counts)), ("recall", recall_scores(counts)))):
        offset = (i - 0.5) * 0.24
        axes.plot(values, rows + offset, figures.MARKERS[i], color=figures.COLOURS[i], markersize=8, label=label)
    axes.set_yticks(rows, names)
    axes.invert_yaxis()
    axes.set_xlabel("share")
    axes.legend(frameon=False, loc="lower left")
    return figure


@figures.in_house_style
def reliability_diagram(bins: Sequence[tuple[float, float, float]]) -> Figure:
    """Draw accuracy against confidence; the area of a dot is the share of the pictures in its bin."""
    figure, axes = figures.canvas(height=4.6, width=5.2, title="How often an answer is right, by how sure it was")
    sure, right, share = np.array(bins).T
    axes.plot([0, 1], [0, 1], color=figures.MUTED, linestyle="--", linewidth=1)
    axes.scatter(sure, right, s=20 + 600 * share, color=figures.COLOURS[0], alpha=0.75)
    axes.set(xlabel="Confidence of the first label", ylabel="Share that is right", xlim=(0, 1.03), ylim=(0, 1.05))
    return figure


def augmentation_grid(photos: Sequence[Photo], *, policy: str, crop: int, seed: int = 0) -> Figure:
    """Show photographs and, beside each, what training makes of them."""
    augment = augmentation(policy, crop)  # type: ignore[arg-type]  # checked by the settings
    pictures: list[Pixels] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for photo in photos:
            image = read_image(photo.path.read_bytes(), limits=TRUSTED)
            pictures.append(np.asarray(image.resize((crop, crop), Image.Resampling.BILINEAR)))
            pictures += [augment(image).permute(1, 2, 0).numpy() for _ in range(5)]
    captions = [["as it is", *([""] * 5)][i % 6] for i in range(len(pictures))]
    return picture_grid(pictures, captions, columns=6, title=f"Augmentation: {policy}")


def mistake_grid(evaluation: Evaluation, predictor: Predictor) -> Figure:
    """Show the test pictures that were named wrongly with the most confidence."""
    found = evaluation.probabilities
    wrong = np.flatnonzero(found.argmax(axis=1) != evaluation.labels)
    worst = wrong[np.argsort(-found[wrong].max(axis=1), kind="stable")][:N_GRID]
    pictures = [pixels_of(evaluation.photos[i], predictor.preprocessing) for i in worst]
    names = predictor.labels
    captions = [
        f"{names[evaluation.labels[i]]}, named\n{names[found[i].argmax()]} ({found[i].max():.0%})" for i in worst
    ]
    return picture_grid(pictures, captions, columns=6, title="The most confident mistakes")


def activation_grid(photos: Sequence[Photo], predictor: Predictor) -> Figure:
    """Show test pictures and where the evidence for their name lies."""
    first = {photo.label: photo for photo in reversed(photos)}
    chosen = [first[label] for label in sorted(first)][:6]
    plain = [pixels_of(photo, predictor.preprocessing) for photo in chosen]
    answers = answers_of(predictor, chosen, heat=True)
    shown = [overlay(pixels, answer.heat) for pixels, answer in zip(plain, answers, strict=True)]
    names = [predictor.labels[int(answer.probabilities.argmax())] for answer in answers]
    captions = [*["" for _ in chosen], *names]
    title = "Where the evidence lies (class-activation maps)"
    return picture_grid([*plain, *shown], captions, columns=len(chosen), title=title)


def overlay(pixels: Pixels, heat: NDArray[np.float32] | None) -> Pixels:
    """Return the picture with the parts that do not speak for the label darkened."""
    if heat is None:
        raise ValueError("the answer has no heat map: ask for it")
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
