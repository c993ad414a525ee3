"""What the sales look like before any model: the figures of the README's section on the data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from housing.data.load import LARGE, TARGET, Dataset
from portfolio_shared.evaluation.figures import (
    COLORS,
    INK,
    MUTED,
    canvas,
    canvases,
    dollars,
    in_dollars,
    in_house_style,
    save_figure,
)

PRICE_TICKS = (25_000, 50_000, 100_000, 200_000, 400_000, 800_000)


def explore(dataset: Dataset, folder: Path) -> list[Path]:
    """Draw the sales into a folder, as SVG; returns the files, in the order in which to look at them."""
    drawings: dict[str, Callable[[pd.DataFrame], Figure]] = {
        "prices": draw_prices,
        "price-area": draw_price_by_area,
        "neighborhoods": draw_neighborhoods,
    }
    return [save_figure(draw(dataset.sales.frame), folder / f"{name}.svg") for name, draw in drawings.items()]


@in_house_style
def draw_prices(frame: pd.DataFrame) -> Figure:
    """Draw how prices are distributed, in dollars and on a log axis, where equal steps are equal percentages."""
    prices = frame[TARGET].to_numpy()
    low, middle, high = np.quantile(prices, [0.25, 0.5, 0.75])
    title = (
        f"Half of the houses sold for {in_dollars(low)} to {in_dollars(high)}; "
        "a log axis, where equal steps are equal percentages, takes the long tail away"
    )
    figure, (plain, log) = canvases(2, height=3.4, title=title)
    plain.hist(prices, bins=40, color=COLORS[0])
    log.hist(prices, bins=np.geomspace(prices.min(), prices.max(), 41).tolist(), color=COLORS[0])
    dollars(plain.xaxis)
    log.set_xscale("log")
    log_prices(log.xaxis)
    for axes, scale in ((plain, "dollars"), (log, "dollars, log axis")):
        axes.axvline(middle, color=INK, linewidth=1)
        axes.set(xlabel=f"Price paid ({scale})")
    plain.set_ylabel("Houses")
    plain.annotate("median", (middle, 0.96), (5, 0), ("data", "axes fraction"), "offset points", color=MUTED)
    return figure


@in_house_style
def draw_price_by_area(frame: pd.DataFrame) -> Figure:
    """Draw price against living area, with the houses over 4,000 square feet marked."""
    area, prices = frame["gr_liv_area"].to_numpy(), frame[TARGET].to_numpy()
    large, partial = area > LARGE, (frame["sale_condition"] == "Partial").to_numpy()
    cheap = large & partial
    title = (
        f"{cheap.sum()} of the {large.sum()} houses over {LARGE:,} square feet were sold before completion, "
        "for far less than their size suggests"
    )
    figure, axes = canvas(height=4.4, title=title)
    axes.scatter(area, prices, s=10, color=COLORS[0], alpha=0.3, linewidths=0)
    axes.plot(area[large & ~cheap], prices[large & ~cheap], "s", color=COLORS[2], markersize=7, label="completed")
    axes.plot(area[cheap], prices[cheap], "D", color=COLORS[4], markersize=7, label="sold before completion")
    axes.axvline(LARGE, color=MUTED, linewidth=1, linestyle=":")
    axes.set(xlabel="Living area (square feet)", ylabel="Price paid (dollars)")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    dollars(axes.yaxis)
    axes.legend(title=f"over {LARGE:,} square feet", frameon=False, loc="upper left", alignment="left")
    return figure


@in_house_style
def draw_neighborhoods(frame: pd.DataFrame) -> Figure:
    """Draw the middle half of the prices of each neighborhood, the most expensive on top."""
    prices = frame.groupby("neighborhood")[TARGET]
    shares = {"low": 0.25, "median": 0.5, "high": 0.75}
    quarters = pd.DataFrame({name: prices.quantile(share) for name, share in shares.items()} | {"n": prices.size()})
    quarters = quarters.sort_values("median", ascending=False)
    first, last = quarters["median"].iloc[0], quarters["median"].iloc[-1]
    title = (
        f"Where a house stands: the median price is {in_dollars(first)} in {quarters.index[0]} and "
        f"{in_dollars(last)} in {quarters.index[-1]}"
    )
    figure, axes = canvas(height=1.1 + 0.2 * len(quarters), title=title)
    rows = np.arange(len(quarters))
    axes.hlines(rows, quarters["low"], quarters["high"], color=COLORS[3], linewidth=5)
    axes.plot(quarters["median"], rows, "o", color=COLORS[0], markersize=5)
    names = [f"{name}  {n:,.0f}" for name, n in zip(quarters.index, quarters["n"], strict=True)]
    axes.set_yticks(rows, names, fontsize=8)
    axes.set_ylim(len(quarters) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Price paid: median and the middle half of the sales (dollars, log axis)")
    axes.set_ylabel("Neighborhood and its number of sales")
    axes.set_xscale("log")
    log_prices(axes.xaxis)
    return figure


def log_prices(axis: Axis) -> None:
    """Write round dollars along a logarithmic axis of prices."""
    axis.set_major_locator(FixedLocator(list(PRICE_TICKS)))
    axis.set_minor_locator(NullLocator())
    dollars(axis)
