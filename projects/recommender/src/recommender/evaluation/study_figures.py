"""The figures of the studies: how films can be hidden, what each step bought, a map of films, bias and variance."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from portfolio_shared.evaluation import figures
from portfolio_shared.evaluation.staircase import staircase
from recommender.evaluation.bias_variance import POPULAR, RARE
from recommender.evaluation.figures import COLOR_OF
from recommender.evaluation.tables import percent
from recommender.evaluation.tastes import Tastes
from recommender.models.fit import POPULARITY

LEARNED, HIDDEN = "#B8BCC2", figures.COLORS[4]
STARTS, LASTING, FILMS, DATE = (0.03, 0.16, 0.3, 0.44, 0.56), 0.4, 12, 0.86  # of a drawing without data
TICKS = (1, 10, 100, 1_000, 10_000)  # of the penalty
NAMED_FILMS = 26  # titles on the map


@figures.in_house_style
def draw_splits(scores: Mapping[str, float], users: Mapping[str, int], *, k: int) -> Figure:
    """Draw three ways to hide films from a model on a time line, each with the nDCG that it gives the same model."""
    title = f"The same model scores {scores['random']:.2f} or {scores['time']:.2f}, depending on which films are hidden"
    figure, axes = figures.canvas(height=4.9, title=title)
    axes.remove()
    rng = np.random.default_rng(0)
    times = (
        np.array(STARTS)[:, None] + np.linspace(0, LASTING, FILMS) + rng.uniform(-0.008, 0.008, (len(STARTS), FILMS))
    )
    hidden = {
        "random": rng.permuted(np.tile(np.arange(FILMS) < 0.25 * FILMS, (len(STARTS), 1)), axis=1),
        "time": np.tile(np.arange(FILMS) >= 0.8 * FILMS, (len(STARTS), 1)),
        "date": times > DATE,
    }
    texts = {
        "random": "**At random.** The model sees what somebody\nrated afterwards. Steck (2019) hides films so.",
        "time": "**Each person's last fifth.** What comes next?\nThe test here. Others' later ratings are known.",
        "date": "**One date for everybody.** Nearest to a service,\nbut few people rate on both sides of it.",
    }
    for axes, (name, text) in zip(figure.subplots(3, 1, sharex=True), texts.items(), strict=True):
        _draw_split(axes, times, hidden[name])
        bold, _, rest = text.removeprefix("**").partition(".**")
        for line, height, style in ((bold, 0.98, "bold"), (rest.strip(), 0.80, "normal")):
            axes.text(1.03, height, line, transform=axes.transAxes, va="top", fontsize=8.5, fontweight=style)
        axes.text(
            1.03, 0.20, f"{scores[name]:.3f}", transform=axes.transAxes, fontsize=19, fontweight="bold", va="center"
        )
        people = f"nDCG@{k}, {users[name]} people"
        axes.text(1.24, 0.18, people, transform=axes.transAxes, fontsize=8.5, color=figures.MUTED, va="center")
    axes.axvline(DATE, color=figures.INK, linewidth=1, linestyle="--")
    axes.set_xlabel("Time. A line is a person, a dot a film: gray is learned from, orange hidden", loc="left")
    return figure


def _draw_split(axes: Axes, times: NDArray[np.float64], hidden: NDArray[np.bool_]) -> None:
    rows = np.repeat(np.arange(len(times)), times.shape[1]).reshape(times.shape)
    axes.hlines(np.arange(len(times)), times[:, 0], times[:, -1], color=figures.GRID, linewidth=2, zorder=1)
    axes.scatter(times[~hidden], rows[~hidden], s=24, color=LEARNED, zorder=2)
    axes.scatter(times[hidden], rows[hidden], s=34, color=HIDDEN, zorder=2)
    axes.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(-0.7, len(times) - 0.3))
    axes.spines["left"].set_visible(False)


def draw_steps(ablation: Sequence[Mapping[str, Any]], popularity: float, k: int) -> Figure:
    """Draw the steps from popular films over plain EASE to the served model, on the validation part."""
    steps = [step for step in ablation if not step["name"].startswith("whole, ")]
    values = [popularity, *(step["ndcg"]["estimate"] for step in steps)]
    gains = {
        step["name"]: after - before for step, before, after in zip(steps[1:], values[1:], values[2:], strict=False)
    }
    largest = max(gains, key=lambda name: gains[name])
    title = f"After EASE itself, {largest.removeprefix('+ ')} buy most: {gains[largest]:.3f} of nDCG"
    return staircase(
        ["popular films for everybody", *(step["name"] for step in steps)],
        values,
        xlabel=f"nDCG@{k} on validation (higher is better)",
        form=lambda value: f"{value:.3f}",
        title=title,
        color_of={"popular films for everybody": COLOR_OF[POPULARITY]},
        lower_is_better=False,
    )


@figures.in_house_style
def draw_map(tastes: Tastes, names: Sequence[str], n_ratings: Sequence[int]) -> Figure:
    """Draw the films in the plane in which the centers of the groups lie furthest apart, with the best-known titles."""
    first, last = tastes.groups[0].year, tastes.groups[-1].year
    title = f"The {len(tastes.groups)} groups are times before they are tastes: from around {first} to around {last}"
    figure, axes = figures.canvas(height=6.6, title=title)
    x, y = tastes.places.T
    for number, taste in enumerate(tastes.groups):
        rows = tastes.group_of == number
        sizes = 3 + 0.25 * np.array(n_ratings)[rows]
        color = figures.COLORS[number % len(figures.COLORS)]
        axes.scatter(x[rows], y[rows], s=sizes, color=color, alpha=0.5, linewidths=0, rasterized=True)
        axes.plot([], [], "o", color=color, label=taste.name)
    taken: list[tuple[float, float]] = []
    width, height = np.ptp(x), np.ptp(y)
    for film in np.argsort(-np.array(n_ratings), kind="stable").tolist():
        if len(taken) == NAMED_FILMS:
            break
        # No title lies on another one: they are wide and low.
        if all(abs(x[film] - across) > 0.21 * width or abs(y[film] - up) > 0.028 * height for across, up in taken):
            taken.append((float(x[film]), float(y[film])))
            name = names[film].split(" (")[0].removeprefix("The ")
            text = axes.annotate(
                name[:30], (x[film], y[film]), (4, 0), textcoords="offset points", fontsize=7.5, va="center"
            )
            text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
    axes.set(xticks=[], yticks=[], xlabel="Larger dots: more people rated the film. The axes have no unit.")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=2, fontsize=8.5)
    return figure


@figures.in_house_style
def draw_bias_variance(spread: Sequence[Mapping[str, Any]], in_use: float) -> Figure:
    """Draw squared bias, variance and their sum against the penalty, for popular films and for rare ones."""
    penalties = [each["penalty"] for each in spread]
    total = [sum(each[part][group] for part in ("bias", "variance") for group in (POPULAR, RARE)) for each in spread]
    least = penalties[int(np.argmin(total))]
    share = [sum(each["variance"].values()) / whole for each, whole in zip(spread, total, strict=True)]
    title = (
        f"Variance is {percent(share[0])} of the error at a penalty of {penalties[0]:g} and {percent(share[-1])} at "
        f"{penalties[-1]:,.0f}; the least error lies at {least:,.0f}"
    )
    figure, both = figures.canvases(2, height=3.9, title=title)
    for axes, group in zip(both, (POPULAR, RARE), strict=True):
        bias, variance = (np.array([each[part][group] for each in spread]) for part in ("bias", "variance"))
        for name, values, color, dashes in (
            ("squared error", bias + variance, figures.INK, "-"),
            ("squared bias and noise", bias, figures.MUTED, "--"),
            ("variance", variance, figures.COLORS[5], "-."),
        ):
            axes.plot(penalties, values, color=color, linestyle=dashes, label=name)
        axes.axvline(in_use, color=figures.MUTED, linewidth=1, linestyle=":")
        axes.annotate(
            f"in use: {in_use:g}", (in_use, 0.5), (4, 0), ("data", "axes fraction"), "offset points", fontsize=8
        )
        axes.set(xscale="log", ylim=(0, 1.02), xlabel="Penalty (log axis)")
        axes.set_xticks(TICKS, [f"{tick:,}" for tick in TICKS])
        axes.minorticks_off()
        axes.set_title(group, fontsize=10, loc="left")
        figures.percent(axes.yaxis)
    both[0].set_ylabel("Share of the error of guessing zero")
    both[0].legend(frameon=False, loc="center left", bbox_to_anchor=(0, 0.33))
    return figure
