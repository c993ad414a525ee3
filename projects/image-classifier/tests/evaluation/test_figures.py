"""The figures show the numbers and pictures that they say."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from image_classifier.config import FineTuneSettings
from image_classifier.data.photos import pixels_of
from image_classifier.evaluation.candidates import FINE_TUNED, PROBE
from image_classifier.evaluation.errors import Group, by_group
from image_classifier.evaluation.figures import (
    confusion,
    draw,
    reliability_diagram,
    risk_coverage_curve,
    training_curves,
)
from image_classifier.evaluation.photo_figures import (
    activation_grid,
    augmentation_grid,
    mistake_grid,
    overlay,
    photo_map,
    refusals,
)
from image_classifier.evaluation.selective import Answered
from image_classifier.models.fit import Epoch
from portfolio_shared.evaluation.figures import save_figure

GROUPS = [
    Group("class", "cat", (8, 2, 0), 8 / 9, 8 / 10),
    Group("class", "dog", (1, 3, 0), 3 / 5, 3 / 4),
    Group("class", "owl", (0, 0, 0), None, float("nan")),
]


def titles(figure) -> list[str]:
    return [axes.texts[0].get_text() for axes in figure.axes[1:]]


def shown(figure, number: int) -> np.ndarray:
    """Return the pixels of a picture of a grid."""
    return np.asarray(figure.axes[number + 1].get_images()[0].get_array())


@pytest.fixture(scope="module")
def drawn(trained, tmp_path_factory):
    """As after a fine-tuning, which has curves and augmentations to show."""
    folder, tuning = tmp_path_factory.mktemp("figures"), FineTuneSettings(crop=48)
    probe = trained.candidates[PROBE]
    tuned = replace(probe, model=replace(probe.model, tuning=tuning, history=(Epoch(1, 1.0, 0.9, 0.8, 2.0),)))
    draw(trained.evaluation, {**trained.candidates, FINE_TUNED: tuned}, folder)
    return folder


@pytest.mark.long
def test_every_figure_is_drawn(drawn):
    assert {path.name for path in drawn.iterdir()} == {
        "training.svg",
        "confusion.svg",
        "reliability.svg",
        "risk-coverage.svg",
        "augmentations.png",
        "mistakes.png",
        "activations.png",
    }
    assert all(path.read_text(encoding="utf-8").lstrip()[:5] == "<?xml" for path in drawn.glob("*.svg"))
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in drawn.glob("*.png"))


def test_the_same_training_draws_the_same_bytes(drawn, trained, tmp_path):
    save_figure(confusion(by_group(trained.evaluation)), tmp_path / "confusion.svg")
    assert (tmp_path / "confusion.svg").read_bytes() == (drawn / "confusion.svg").read_bytes()


def test_curves_show_both_losses_and_the_epoch_that_is_served():
    history = [Epoch(1, 2.0, 1.0, 0.5, 9.0), Epoch(2, 1.0, 0.25, 0.5, 9.0), Epoch(3, 0.5, 0.5, 0.5, 9.0)]
    figure = training_curves(history)
    (axes,) = figure.axes
    training, validation, served = (line.get_xydata().tolist() for line in axes.get_lines())
    assert training == [[1, 2], [2, 1], [3, 0.5]]
    assert validation == [[1, 1], [2, 0.25], [3, 0.5]]
    assert [place[0] for place in served] == [2, 2]
    assert "epoch 2 of 3 is served" in figure._suptitle.get_text().replace("\n", " ")


def test_the_matrix_shows_counts_and_is_colored_by_the_share_of_a_row():
    (axes,) = confusion(GROUPS).axes
    counts = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    assert counts[(1, 0)] == "2"  # 2 cats (row 0) that were named dog (column 1)
    assert counts[(0, 1)] == "1"
    assert len(counts) == 9
    np.testing.assert_allclose(axes.get_images()[0].get_array(), [[0.8, 0.2, 0], [0.25, 0.75, 0], [0, 0, 0]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "owl"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("what the model said", "what it was")


def test_the_title_of_the_matrix_names_the_hardest_kind():
    title = confusion(GROUPS)._suptitle.get_text()
    assert title == "Of 4 dog, the hardest kind, 1 get another name"


def test_bins_of_few_pictures_are_not_drawn_and_both_stages_are():
    sure = np.array([0.9] * 20 + [0.5] * 5)
    probabilities = np.column_stack([sure, 1 - sure])
    labels = np.array([0] * 15 + [1] * 5 + [0] * 5)
    figure = reliability_diagram(labels, {"before": probabilities, "after": probabilities[:, ::-1]})
    _, before, after = figure.axes[0].get_lines()
    np.testing.assert_allclose(before.get_xydata(), [[0.9, 0.75]])
    np.testing.assert_allclose(after.get_xydata(), [[0.9, 0.25]])
    assert "points before and " in figure._suptitle.get_text().replace("\n", " ")


def test_the_curve_of_risks_names_what_declining_a_fifth_buys():
    points = [Answered(0.8, 0.7, 0.02, 0.01, 0.03), Answered(1.0, 0.3, 0.068, 0.05, 0.09)]
    figure = risk_coverage_curve({FINE_TUNED: points}, (0.96, 0.044))
    assert "takes errors from 6.8 % to 2.0 %" in figure._suptitle.get_text().replace("\n", " ")
    line, served = figure.axes[0].get_lines()
    np.testing.assert_allclose(line.get_xydata(), [[0.8, 0.02], [1.0, 0.068]])
    np.testing.assert_allclose(served.get_xydata(), [[0.96, 0.044]])


def test_declined_shares_stand_beside_their_picture():
    rows = [("noise", Image.new("RGB", (9, 9)), {FINE_TUNED: 1.0, PROBE: 0.5}), ("leaf", Image.new("RGB", (9, 9)), {})]
    (axes,) = refusals(rows, {FINE_TUNED: "#000000", PROBE: "#ff0000"}, title="t").axes
    points = [line.get_xydata().tolist() for line in axes.get_lines()]
    assert points[:2] == [[[1.0, -0.15]], [[0.5, 0.15]]]  # beside each other: equal shares are both seen
    assert [label.get_text() for label in axes.get_yticklabels()] == ["noise", "leaf"]


def test_the_map_has_every_photograph_at_its_place(trained):
    photos = trained.split.test[:4]
    (axes,) = photo_map(photos, np.array([[0.0, 0], [2, 0], [0, 4], [1, 2]]), title="t").axes
    places = [box.xy for box in axes.artists]
    assert places == [(0, 0), (1, 0), (0, 1), (0.5, 0.5)]


def test_mistakes_are_mistakes_and_the_most_confident_first(trained):
    evaluation, labels = trained.evaluation, trained.predictor.labels
    rows = evaluation.probabilities
    wrong = [i for i in range(len(rows)) if rows[i].argmax() != evaluation.labels[i]]
    worst = sorted(wrong, key=lambda i: -rows[i].max())[:8]
    assert worst
    figure = mistake_grid(evaluation)
    for number, i in enumerate(worst):
        caption = f"was {labels[evaluation.labels[i]]}\nsaid {labels[rows[i].argmax()]}, {100 * rows[i].max():.0f} %"
        assert titles(figure)[number] == caption
        np.testing.assert_array_equal(
            shown(figure, number), pixels_of(trained.split.test[i], trained.predictor.preprocessing)
        )


def test_without_mistakes_the_grid_says_so(trained):
    evaluation = trained.evaluation
    right = replace(evaluation, labels=evaluation.probabilities.argmax(axis=1))
    figure = mistake_grid(right)
    assert [text.get_text() for text in figure.axes[0].texts] == ["There are none."]


def test_an_activation_lies_below_its_picture_with_its_name(trained):
    photos = trained.split.test
    figure = activation_grid(photos, trained.predictor)
    assert len(figure.axes) == 1 + 2 * 5
    first = next(photo for photo in photos if photo.label == 0)
    pixels = pixels_of(first, trained.predictor.preprocessing)
    (prediction,) = trained.predictor.predict([pixels], heat=True)
    np.testing.assert_array_equal(shown(figure, 0), pixels)
    np.testing.assert_array_equal(shown(figure, 5), overlay(pixels, prediction.heat))
    assert titles(figure)[5] == trained.predictor.labels[prediction.probabilities.argmax()]


def test_where_there_is_no_evidence_the_picture_is_dark():
    heat = np.zeros((2, 2), dtype=np.float32)
    heat[0, 0] = 1
    laid = overlay(np.full((64, 64, 3), 200, dtype=np.uint8), heat)
    assert laid[0, 0].tolist() == [200] * 3
    assert laid[-1, -1].tolist() == [50] * 3


def test_augmentations_stand_beside_their_picture_and_are_drawn_alike_every_time(trained):
    photos = trained.split.train[:2]
    first, again = (augmentation_grid(photos, policy="strong", crop=48) for _ in range(2))
    pictures = [shown(first, number) for number in range(len(first.axes) - 1)]
    assert len(pictures) == 12
    for number, picture in enumerate(pictures):
        np.testing.assert_array_equal(picture, shown(again, number))
    row = [picture.tobytes() for picture in pictures[1:6]]
    assert len(set(row)) == 5
    assert titles(first)[:6] == ["as it is", "turned", "saturation", "solarized", "posterized", "sheared"]
