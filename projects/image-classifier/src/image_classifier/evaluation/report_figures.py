"""The figures that a report adds to those of a training: baselines, how much data helps, what is declined, a map."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from image_classifier.data.photos import Photo, first_of_each, image_of
from image_classifier.evaluation.candidates import FINE_TUNED, FREQUENCIES, PROBE
from image_classifier.evaluation.figures import MODEL_COLORS
from image_classifier.evaluation.near_pictures import near_pictures
from image_classifier.evaluation.out_of_distribution import draw_pictures
from image_classifier.evaluation.photo_figures import photo_map, refusals
from image_classifier.evaluation.plain import COLORS, PIXELS
from image_classifier.evaluation.study_tables import penalty
from image_classifier.models.trunk import Features
from portfolio_shared.evaluation import charts, figures
from portfolio_shared.evaluation.staircase import staircase

Recorded = Mapping[str, Any]
PERPLEXITY = 30


def baseline_staircase(recorded: Recorded) -> Figure:
    """Draw the accuracy on the test part from guessing to the served model."""
    test, baselines, plain = recorded["test"], recorded["baselines"], recorded["studies"]["plain"]
    steps = {
        FREQUENCIES: baselines[FREQUENCIES],
        PIXELS: plain[PIXELS],
        COLORS: plain[COLORS],
        PROBE: baselines.get(PROBE, test),
        recorded["chosen"]: test,
    }
    reached = {name: metrics["accuracy"]["estimate"] for name, metrics in steps.items()}
    chosen = recorded["chosen"]
    title = f"A frozen network names {reached[PROBE]:.1%} right"
    if chosen != PROBE:
        title += f", after {reached[COLORS]:.1%} by colors alone; fine-tuning all of it {reached[chosen]:.1%}"
    return staircase(
        list(reached),
        list(reached.values()),
        xlabel="Test photographs that are named right",
        form=lambda value: f"{100 * value:.1f} %",
        title=title.replace("%", " %"),
        color_of=MODEL_COLORS,
        lower_is_better=False,
    )


def curve_figure(curve: Sequence[Recorded]) -> Figure:
    """Draw the probe's accuracy by the number of training pictures."""
    x = [each["per_class"] for each in curve]
    mean, low, high = (np.array([each["accuracy"][i] for each in curve]) for i in range(3))
    half = len(x) // 2
    title = f"{x[0]} photographs a class give {mean[0]:.0%}, {x[half]} give {mean[half]:.0%}, all give {mean[-1]:.0%}"
    figure = charts.line_with_band(
        x,
        {PROBE: (mean, low, high)},
        xlabel="Training photographs of each class (the last point has all)",
        ylabel="Share of the validation part that is right",
        title=title.replace("%", " %"),
        color_of=MODEL_COLORS,
        logx=True,
    )
    figures.percent(figure.axes[0].yaxis)
    return figure


@figures.in_house_style
def parts_figure(parts: Sequence[Recorded]) -> Figure:
    """Draw bias, variance, training error and validation error of the probe by the strength of its penalty."""
    best = min(parts, key=lambda each: each["error"])
    title = f"The probe's best error is {best['error']:.1%}: bias {best['bias']:.1%}, variance {best['variance']:.1%}"
    figure, axes = figures.canvas(height=4.2, title=title.replace("%", " %"))
    x = range(len(parts))
    lines = (
        ("error", "validation error"),
        ("bias", "bias"),
        ("variance", "variance"),
        ("training_error", "training error"),
    )
    for i, (key, label) in enumerate(lines):
        y = [each[key] for each in parts]
        axes.plot(x, y, figures.MARKERS[i], linestyle=figures.DASHES[i], color=figures.COLORS[i], label=label)
    axes.set_xticks(x, [penalty(each["strength"]) for each in parts])
    axes.set(xlabel="Strength of the penalty: stiff on the left, free on the right", ylabel="Share of the pictures")
    figures.percent(axes.yaxis)
    axes.legend(frameon=False)
    return figure


def refusal_figure(recorded: Recorded, test: Sequence[Photo]) -> Figure:
    """Draw what is declined: kinds that were left out, near pictures, drawings; each with one of its pictures."""
    declined = recorded["studies"]["declined"]
    left_out = recorded["near_out_of_distribution"]
    pictures = {kind: images[0] for kind, images in {**near_pictures(each=1), **draw_pictures(each=1)}.items()}
    rows: list[tuple[str, Image.Image, dict[str, float]]] = []
    photos = {photo.name.split("/")[0]: photo for photo in first_of_each(test)}
    for kind in left_out:
        name = kind["name"]
        rows.append((f"{name}, left out", _square(image_of(photos[name])), {PROBE: kind["unknown"]["estimate"]}))
    for which in ("near", "far"):
        for kind in next(iter(declined.values()))[which]:
            shares = {model: each[which][kind] for model, each in declined.items()}
            rows.append((kind, _square(pictures[kind]), shares))
    unknown = float(np.mean([kind["unknown"]["estimate"] for kind in left_out])) if left_out else 0.0
    noise = " and ".join(f"{each['far']['noise']:.0%} ({model})" for model, each in declined.items())
    title = f"Declined: {unknown:.0%} of unknown flowers; of noise {noise}".replace("%", " %")
    colors = {name: MODEL_COLORS[name] for name in (FINE_TUNED, PROBE) if name in declined or name == PROBE}
    return refusals(rows, colors, title=title)


def _square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def map_of(photos: Sequence[Photo], features: Features) -> tuple[NDArray[np.float64], float]:
    """Return places [n, 2] of photographs by t-SNE of their features, and how often the nearest other is of its class.

    The nearest is looked for in the features and not on the map, which distorts distances.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.neighbors import NearestNeighbors

    labels = np.array([photo.label for photo in photos])
    _, nearest = NearestNeighbors(n_neighbors=2).fit(features).kneighbors(features)
    right = float((labels[nearest[:, 1]] == labels).mean())
    main = PCA(min(50, *features.shape), random_state=0).fit_transform(features)
    perplexity = min(PERPLEXITY, (len(photos) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(main)
    return np.asarray(places, dtype=np.float64), right


def map_figure(photos: Sequence[Photo], places: NDArray[np.float64], right: float) -> Figure:
    """Draw the map of photographs."""
    title = f"Before any training, the nearest other photograph is of the same kind for {right:.0%}"
    return photo_map(photos, places, title=title.replace("%", " %"))
