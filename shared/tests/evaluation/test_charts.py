"""Figures show the numbers they were given, always in the same bytes."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from portfolio_shared.evaluation import figures
from portfolio_shared.evaluation.charts import (
    coverage_bars,
    horizontal_bars,
    interval_bars,
    line_with_band,
    residual_plot,
    scatter_predicted_actual,
)
from portfolio_shared.evaluation.figures import save_figure
from portfolio_shared.evaluation.uncertainty import Interval

RNG = np.random.default_rng(0)
TRUE = np.exp(RNG.normal(12, 0.4, 80))
PRED = TRUE * np.exp(RNG.normal(0, 0.1, 80))
X = np.arange(5.0)
BAND = (X**2, X**2 - 1, X**2 + 2)

DRAWINGS: dict[str, Callable[..., Figure]] = {
    "scatter": lambda **o: scatter_predicted_actual(TRUE, PRED, unit="dollars", **o),
    "residuals": lambda **o: residual_plot(TRUE, PRED, unit="dollars", **o),
    "intervals": lambda **o: interval_bars(
        ["ridge", "boosting"], [Interval(0.13, 0.12, 0.15), Interval(0.11, 0.1, 0.12)], xlabel="RMSLE", **o
    ),
    "coverage": lambda **o: coverage_bars(["cheap", "dear"], [0.9, 0.8], nominal=0.9, counts=[100, 50], **o),
    "lines": lambda **o: line_with_band(X, {"EASE": BAND, "popular": (X, X, X)}, xlabel="n", ylabel="nDCG", **o),
    "bars": lambda **o: horizontal_bars(["up", "down"], [21000.4, -12000.0], xlabel="dollars", **o),
}
each = pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS.keys())


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def axes_of(figure):
    assert len(figure.axes) == 1
    return figure.axes[0]


def tick_labels(figure, axis):
    figure.draw_without_rendering()
    return [label.get_text() for label in getattr(axes_of(figure), f"get_{axis}ticklabels")()]


@each
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_same_input_gives_the_same_bytes(draw, suffix, tmp_path):
    first, second = (save_figure(draw(title="A finding"), tmp_path / f"{name}{suffix}") for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert b"Matplotlib" not in first.read_bytes()


@pytest.mark.long
def test_another_process_on_another_day_gives_the_same_bytes(tmp_path):
    code = (
        "import sys; from pathlib import Path; from portfolio_shared.evaluation.charts import *; "
        "from portfolio_shared.evaluation.figures import save_figure; "
        "save_figure(horizontal_bars(['a', 'b'], [1, -2], xlabel='x', title='t'), Path(sys.argv[1]))"
    )
    written = []
    for day, seed in (("0", "1"), ("1700000000", "2")):
        path = tmp_path / f"{day}.svg"
        environment = {"SOURCE_DATE_EPOCH": day, "PYTHONHASHSEED": seed, "HOME": str(tmp_path)}
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=environment, capture_output=True)
        written.append(path.read_bytes())
    assert written[0] == written[1]


@each
def test_an_svg_is_well_formed_and_refers_to_nothing_outside(draw, tmp_path):
    root = ET.parse(save_figure(draw(), tmp_path / "a.svg")).getroot()  # noqa: S314 - written by this test
    assert root.tag.endswith("svg")
    links = [value for node in root.iter() for name, value in node.attrib.items() if name.endswith("href")]
    assert all(link.startswith("#") for link in links)


@each
def test_figures_leave_the_global_state_alone(draw, tmp_path):
    before = dict(mpl.rcParams)
    save_figure(draw(title="Finding"), tmp_path / "new" / "folder" / "a.png")
    assert dict(mpl.rcParams) == before
    assert (tmp_path / "new" / "folder" / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["a.pdf", "a", "a.SVG"])
def test_other_formats_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=rf"as \.svg or \.png, not '{name}'"):
        save_figure(DRAWINGS["bars"](), tmp_path / name)
    assert not (tmp_path / name).exists()


@each
def test_nothing_is_drawn_outside_the_page(draw):
    figure = draw(title="A title of about the length that a finding has, which takes two lines of the figure")
    figure.draw_without_rendering()
    page, drawn = figure.bbox, figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    assert drawn.x0 >= page.x0 - 1
    assert drawn.y0 >= page.y0 - 1
    assert drawn.x1 <= page.x1 + 1
    assert drawn.y1 <= page.y1 + 1


@each
def test_a_title_keeps_its_words_and_leaves_no_word_alone(draw):
    title = "Living area and quality carry the price of this house well above the average"
    lines = draw(title=title).get_suptitle().split("\n")
    assert " ".join(lines) == title
    assert len(lines) == 2
    assert len(lines[-1]) > len(title) / 4
    assert draw().get_suptitle() == ""


def test_a_scatter_shows_every_row_on_equal_axes():
    axes = axes_of(DRAWINGS["scatter"]())
    (points,) = [artist for artist in axes.collections if isinstance(artist, PathCollection)]
    np.testing.assert_array_equal(points.get_offsets(), np.column_stack([TRUE, PRED]))
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_xlabel() == "Actual (dollars)"
    assert axes.get_ylabel() == "Predicted (dollars)"


def test_residuals_above_zero_are_too_high():
    axes = axes_of(residual_plot([10.0, 20.0], [13.0, 19.0], unit="m"))
    (points,) = [artist for artist in axes.collections if isinstance(artist, PathCollection)]
    np.testing.assert_array_equal(points.get_offsets(), [[13.0, 3.0], [19.0, -1.0]])


def test_the_trend_of_residuals_needs_rows():
    assert texts(residual_plot(TRUE[:49], PRED[:49], unit="m")) == []
    assert set(texts(residual_plot(TRUE[:50], PRED[:50], unit="m"))) == {"median error", "80 % of rows"}


def test_the_trend_of_residuals_is_the_median_of_each_group():
    y_pred = np.arange(100.0)
    error = np.tile([-4.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 10)
    lines = axes_of(residual_plot(y_pred - error, y_pred, unit="m")).get_lines()
    trend = next(line for line in lines if len(np.asarray(line.get_xdata())) == 10)
    np.testing.assert_allclose(np.asarray(trend.get_ydata()), 2.5)
    np.testing.assert_allclose(np.asarray(trend.get_xdata()), np.arange(10) * 10 + 4.5)


def test_intervals_are_drawn_where_they_are_with_the_first_on_top():
    figure = interval_bars(["a", "b"], [Interval(2, 1, 4), Interval(3, 2.5, 3.5)], xlabel="x")
    axes = axes_of(figure)
    (bars,) = [artist for artist in axes.collections if isinstance(artist, LineCollection)]
    ends = [segment[:, 0].tolist() for segment in map(np.asarray, bars.get_segments())]
    assert ends == [[1, 4], [2.5, 3.5]]
    assert axes.yaxis_inverted()
    assert tick_labels(figure, "y") == ["a", "b"]
    assert texts(figure) == ["2", "3"]


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([0.10928, 0.12], ["0.1093", "0.1200"]),
        ([0.409, 0.0123], ["0.4090", "0.0123"]),
        ([2, 3], ["2", "3"]),
        ([12345.6, -9.25], ["12,346", "\N{MINUS SIGN}9"]),
        ([1e-7, 2e-7], ["0.0000001", "0.0000002"]),
        ([0, 0], ["0", "0"]),
    ],
)
def test_a_column_of_estimates_has_equally_many_decimals(values, written):
    assert texts(interval_bars(["a", "b"], [Interval(v, v, v) for v in values], xlabel="x")) == written


def test_shares_are_written_as_per_cent():
    figure = horizontal_bars(["noise", "text"], [1.0, 0.9], xlabel="share", shares=True)
    assert texts(figure) == ["100 %", "90 %"]
    assert "100 %" in tick_labels(figure, "x")
    figure = coverage_bars(["a", "b"], [0.86, 0.92], nominal=0.9, counts=[114, 114])
    assert "82.5 %" in tick_labels(figure, "x")  # not a tick of 82 that stands at 82.5


def test_coverage_says_share_rows_and_target():
    assert texts(DRAWINGS["coverage"]()) == ["nominal 90 %", "90 % of 100", "80 % of 50"]


def test_lines_are_named_at_their_ends_without_overlap():
    series = {name: (X * 0 + 1 + i / 1000, X * 0, X * 0 + 2) for i, name in enumerate("abcdef")}
    figure = line_with_band(X, series, xlabel="x", ylabel="y")
    figure.draw_without_rendering()
    boxes = sorted((text.get_window_extent() for text in axes_of(figure).texts), key=lambda box: box.y0)
    assert sorted(texts(figure)) == list("abcdef")
    assert all(lower.y1 <= upper.y0 for lower, upper in pairwise(boxes))


def test_lines_differ_in_more_than_their_color():
    series = {name: (X + i, X, X + 2) for i, name in enumerate("abcdef")}
    lines = axes_of(line_with_band(X, series, xlabel="x", ylabel="y")).get_lines()
    assert len({line.get_marker() for line in lines}) == 6
    assert len(set(map(str, figures.DASHES))) == 6


@pytest.mark.parametrize("n", [0, 7])
def test_more_lines_than_can_be_distinguished_are_refused(n):
    with pytest.raises(ValueError, match=f"expected 1 to 6 series, not {n}"):
        line_with_band(X, {str(i): BAND for i in range(n)}, xlabel="x", ylabel="y")


RED = "#ff0000"


def test_a_name_has_its_color_in_every_chart():
    names, color_of = ["ridge", "boosting"], {"boosting": RED}
    intervals = axes_of(interval_bars(names, [Interval(2, 1, 3)] * 2, xlabel="x", color_of=color_of))
    bars = axes_of(horizontal_bars(names, [1.0, 2.0], xlabel="x", color_of=color_of))
    lines = axes_of(line_with_band(X, dict.fromkeys(names, BAND), xlabel="x", ylabel="y", color_of=color_of))
    (dots,) = [artist for artist in intervals.collections if isinstance(artist, PathCollection)]
    drawn = [
        dots.get_facecolor(),
        [bar.get_facecolor() for bar in bars.patches],
        [line.get_color() for line in lines.get_lines()],
    ]
    expected = [to_rgb(figures.COLORS[0]), to_rgb(RED)]
    assert [[to_rgb(color) for color in colors] for colors in drawn[:2]] == [expected] * 2
    assert [to_rgb(color) for color in drawn[2]] == expected


def test_differences_have_a_line_where_they_are_none():
    figure = interval_bars(["a"], [Interval(2, 1, 3)], xlabel="x", reference=0)
    (line,) = axes_of(figure).get_lines()
    assert set(np.asarray(line.get_xdata())) == {0}
    assert axes_of(figure).get_xlim()[0] <= 0


def test_ratios_are_equally_far_apart_on_a_logarithmic_axis():
    sizes = [50.0, 100.0, 2000.0]
    figure = line_with_band(sizes, {"a": (sizes, sizes, sizes)}, xlabel="pictures", ylabel="y", logx=True)
    assert axes_of(figure).get_xscale() == "log"
    assert tick_labels(figure, "x") == ["50", "100", "2,000"]


def test_bars_carry_their_values():
    figure = DRAWINGS["bars"]()
    bars = [patch.get_window_extent().width for patch in axes_of(figure).patches]
    assert len(bars) == 2
    assert texts(figure) == ["21,000", "\N{MINUS SIGN}12,000"]
    assert len({patch.get_facecolor() for patch in axes_of(figure).patches}) == 2


@pytest.mark.parametrize("values", [[1.0, 2.0], [-1.0, -2.0], [0.0, 0.0], [-1.0, 2.0]])
def test_bars_start_at_zero(values):
    low, high = axes_of(horizontal_bars(["a", "b"], values, xlabel="x")).get_xlim()
    assert low <= min(0, *values)
    assert high >= max(0, *values)
    assert low < high


def test_neighboring_colors_differ_in_lightness():
    lightness = [float(np.dot(to_rgb(color), [0.2126, 0.7152, 0.0722])) for color in figures.COLORS]
    assert min(abs(a - b) for a, b in pairwise(lightness)) > 0.08


def test_numbers_have_no_exponents():
    labels = tick_labels(DRAWINGS["scatter"](), "x") + tick_labels(DRAWINGS["intervals"](), "x")
    assert any("," in label for label in labels)
    assert not any("e" in label for label in labels)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: scatter_predicted_actual([], [], unit="m"), "y_true is empty"),
        (lambda: scatter_predicted_actual([1.0], [1.0, 2.0], unit="m"), "one length"),
        (lambda: residual_plot([1.0, np.nan], [1.0, 2.0], unit="m"), "y_true has 1 values of 2 that are not finite"),
        (lambda: interval_bars(["a"], [Interval(1, 0, 2)] * 2, xlabel="x"), "1 names for 2 values"),
        (lambda: coverage_bars(["a"], [0.9], nominal=0.9, counts=[1, 2]), "one length"),
        (lambda: horizontal_bars(["a"], [np.inf], xlabel="x"), "values has 1 values of 1 that are not finite"),
        (lambda: line_with_band(X, {"a": (X, X, X[:2])}, xlabel="x", ylabel="y"), "one length"),
    ],
)
def test_numbers_that_cannot_be_drawn_are_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
