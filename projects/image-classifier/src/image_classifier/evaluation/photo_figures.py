"""The figures of a training that show photographs, as PNG. Whose they are stands in `docs/photographs.md`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from image_classifier.config import Augmentation
from image_classifier.data.images import read_image
from image_classifier.data.photos import TRUSTED, Photo, first_of_each, pixels_of
from image_classifier.data.preprocessing import Pixels, Preprocessing
from image_classifier.evaluation.evaluate import Evaluation, predictions_of
from image_classifier.models.predictor import Predictor
from portfolio_shared.evaluation import figures

N_MISTAKES = 8
THUMBNAIL = Preprocessing(96, 96)
COLUMNS = 6
SIX = ("Rotate", "Color", "Solarize", "Posterize", "ShearX", "Brightness")
"""Operations of TrivialAugment that are shown, of fourteen."""


@dataclass(frozen=True)
class Mistake:
    """A test photograph that was named wrongly."""

    photo: Photo
    was: str
    said: str
    confidence: float
    unsure: bool


def mistakes_of(evaluation: Evaluation, most: int = N_MISTAKES) -> list[Mistake]:
    """Return the test photographs that were named wrongly with the most confidence."""
    probabilities, names = evaluation.probabilities, evaluation.predictor.labels
    said, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(said != evaluation.labels)
    return [
        Mistake(
            evaluation.split.test[i],
            names[evaluation.labels[i]],
            names[said[i]],
            float(confidence[i]),
            evaluation.predictions[i].unsure is not None,
        )
        for i in wrong[np.argsort(-confidence[wrong], kind="stable")][:most]
    ]


def mistake_grid(evaluation: Evaluation) -> Figure:
    """Show the test photographs that were named wrongly with the most confidence."""
    mistakes = mistakes_of(evaluation)
    pictures = [pixels_of(mistake.photo, evaluation.predictor.preprocessing) for mistake in mistakes]
    captions = [f"was {each.was}\nsaid {each.said}, {each.confidence:.0%}".replace("%", " %") for each in mistakes]
    silent = sum(mistake.unsure for mistake in mistakes)
    title = f"The {len(mistakes)} most confident mistakes; the service says of {silent} that it is not sure"
    return picture_grid(pictures, captions, columns=4, title=title if mistakes else "Mistakes")


def augmentation_grid(photos: Sequence[Photo], *, policy: Augmentation, crop: int, seed: int = 0) -> Figure:
    """Show photographs and, beside each, what training makes of them, with the name of each operation."""
    import torch

    from image_classifier.models.batches import augmentation

    augment = augmentation(policy, crop)
    pictures: list[Pixels] = []
    captions: list[str] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for photo in photos:
            image = read_image(photo.path.read_bytes(), limits=TRUSTED)
            pictures.append(np.asarray(image.resize((crop, crop), Image.Resampling.BILINEAR)))
            captions.append("as it is")
            for name in SIX[: COLUMNS - 1]:
                drawn, picture = _drawn(augment, image, name if policy == "strong" else None)
                pictures.append(picture)
                captions.append(drawn)
    title = "A random part of the photograph, mirrored or not, and one operation of random strength"
    return picture_grid(pictures, captions, columns=COLUMNS, title=title)


def _drawn(augment: Any, image: Image.Image, name: str | None) -> tuple[str, Pixels]:
    """Augment until TrivialAugment draws the operation that is asked for; return its name and the picture."""
    operations = augment.transforms[-1]
    drawn = ""
    if name is not None:
        choose = type(operations)._get_random_item  # noqa: SLF001 (what it draws is nowhere else)

        def named(space: dict[str, Any]) -> Any:
            return choose(operations, {name: space[name]})

        operations._get_random_item = named  # noqa: SLF001
        drawn = {"ShearX": "sheared", "Rotate": "turned", "Brightness": "brightness"}.get(name, f"{name.lower()}d")
        drawn = {"Color": "saturation", "Solarize": "solarized", "Posterize": "posterized"}.get(name, drawn)
    return drawn, augment(image).permute(1, 2, 0).numpy()


def activation_grid(photos: Sequence[Photo], predictor: Predictor) -> Figure:
    """Show test pictures and where the evidence for their name lies."""
    chosen = first_of_each(photos)[:6]
    plain = [pixels_of(photo, predictor.preprocessing) for photo in chosen]
    predictions = predictions_of(predictor, chosen, heat=True)
    shown = [overlay(pixels, prediction.heat) for pixels, prediction in zip(plain, predictions, strict=True)]
    names = [predictor.labels[int(prediction.probabilities.argmax())] for prediction in predictions]
    captions = [*["" for _ in chosen], *names]
    title = "The evidence lies on the flowers: what does not speak for the name is dark"
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
    side = figures.WIDTH / columns
    figure, whole = figures.canvas(height=0.7 + (side + 0.3) * rows, title=title)
    whole.set_axis_off()
    if not pictures:
        whole.text(0.5, 0.5, "There are none.", ha="center")
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(np.asarray(picture))
        axes.set_axis_off()
        axes.text(0.5, -0.04, caption, transform=axes.transAxes, ha="center", va="top", fontsize=8)
    return figure


@figures.in_house_style
def refusals(
    rows: Sequence[tuple[str, Image.Image, Mapping[str, float]]], colors: Mapping[str, str], *, title: str
) -> Figure:
    """Draw which share of the pictures of each kind each model declines, with a picture of the kind beside its name."""
    figure, axes = figures.canvas(height=1.0 + 0.38 * len(rows), title=title)
    for row, (_, picture, shares) in enumerate(rows):
        icon = OffsetImage(np.asarray(picture.convert("RGB").resize((96, 96))), zoom=0.23)
        box = AnnotationBbox(icon, (-0.065, row), frameon=False, box_alignment=(0.5, 0.5), annotation_clip=False)
        axes.add_artist(box)
        for name, share in shares.items():
            number = list(colors).index(name)
            beside = 0.3 * (number - (len(colors) - 1) / 2)  # equal shares do not hide each other
            axes.plot(share, row + beside, figures.MARKERS[number], color=colors[name], markersize=7)
    for i, (name, color) in enumerate(colors.items()):
        axes.plot([], [], figures.MARKERS[i], color=color, label=name)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.tick_params(axis="y", pad=30)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(-0.02, 1.02), xlabel="Share that is declined")
    axes.spines["left"].set_visible(False)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.4, 1), ncols=2)
    figures.percent(axes.xaxis)
    return figure


@figures.in_house_style
def photo_map(photos: Sequence[Photo], places: NDArray[np.float64], *, title: str) -> Figure:
    """Show photographs at their places [n, 2], framed in the color of their class."""
    figure, axes = figures.canvas(height=6.6, title=title)
    axes.set_axis_off()
    low, high = places.min(axis=0), places.max(axis=0)
    for photo, place in zip(photos, (places - low) / (high - low), strict=True):
        icon = OffsetImage(pixels_of(photo, THUMBNAIL), zoom=0.17)
        frame = {"edgecolor": figures.COLORS[photo.label % len(figures.COLORS)], "linewidth": 1.5}
        axes.add_artist(AnnotationBbox(icon, tuple(place), pad=0.05, bboxprops=frame))
    names = {photo.label: photo.name.split("/")[0] for photo in photos}
    for label, name in sorted(names.items()):
        axes.plot([], [], "s", color=figures.COLORS[label % len(figures.COLORS)], label=name)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=len(names))
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    return figure
