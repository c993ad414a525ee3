"""The numbers of prose on what is asked of the test houses beside their metrics (`on_test.py`), and on sizes."""

from collections.abc import Mapping
from typing import Any

from housing.evaluation.candidates import BLEND, LINEAR, TREES
from housing.evaluation.errors import QUINTILES
from housing.evaluation.study_tables import share_with_interval

Stored = Mapping[str, Any]


def of_folds_and_test(recorded: Stored) -> dict[str, str]:
    """Return how the errors on folds and on the test differ, and by how much other models err more on the test."""
    every, usual, above = recorded["folds_beside_test"]
    apart, light = recorded["differences_on_test"], "LightGBM"
    on_folds, on_test = (above[f"{part}_dollars"] * above[f"{part}_houses"] for part in ("fold", "test"))
    light_on_test = recorded["baselines"][light]["mean_absolute_error"]["estimate"]
    names = {"linear": LINEAR, "trees": TREES, "lightgbm": light}
    return {
        "gap": dollars(every["test_dollars"] - every["fold_dollars"]),
        "gap_expensive": dollars(on_test / every["test_houses"] - on_folds / every["fold_houses"]),
        "gap_usual": dollars(usual["test_dollars"] - usual["fold_dollars"]),
        "gap_lightgbm": dollars(light_on_test - recorded["candidates"][light]["mae_mean"]),
        "share_on_folds": percent(every["fold_share"], 1),
        "expensive_folds_n": str(above["fold_houses"]),
        "expensive_folds": percent(above["fold_share"]),
        "expensive_test": percent(above["test_share"]),
        "other_folds_n": str(len(recorded["other_folds"])),
        "other_folds_low": dollars(min(recorded["other_folds"])),
        "other_folds_high": dollars(max(recorded["other_folds"])),
        **{f"test_{key}_more": dollars_with_interval(apart[name]) for key, name in names.items()},
    }


def of_visitors(recorded: Stored) -> dict[str, str]:
    """Return what a visitor with the ten required fields gets."""
    ten, off = recorded["ten_fields"], recorded["quality_off_by_one"]
    held = {(group["by"], group["name"]): group for group in recorded["held"]}
    cheapest = held["price paid", QUINTILES[0]]
    area = next(group for (by, _), group in held.items() if by == "neighborhood")
    return {
        "coverage_ten_fields": percent(ten["interval_coverage"]["estimate"], 1),
        "width_ten_fields": dollars(ten["mean_interval_width"]["estimate"]),
        "too_low_ten_fields": dollars(-ten["mean_error"]["estimate"]),
        "coverage_ten_cheapest": share_with_interval(cheapest["sparse"], cheapest["houses"]),
        "coverage_cheap_area": share_with_interval(area["full"], area["houses"]),
        "coverage_ten_cheap_area": share_with_interval(area["sparse"], area["houses"]),
        "quality_low": percent(abs(off["too low"]["change"])),
        "quality_high": percent(off["too high"]["change"]),
        "median_error_quality_low": dollars(off["too low"]["median_error"]),
        "median_error_quality_high": dollars(off["too high"]["median_error"]),
    }


def of_sizes(recorded: Stored) -> dict[str, str]:
    """Return how large the model is, what its training takes, and what grows with the houses."""
    files, conditions = recorded["sizes"], recorded["sale_conditions"]
    doubles = 8 * recorded["rows"]["train"] * files["linear columns"]
    return {
        "model_mb": f"{sum(size for name, size in files.items() if '.' in name) / 1e6:.1f}",
        "sold_kb": f"{files['comparables.npz'] / 1e3:.0f}",
        "basis_columns": str(files["linear columns"]),
        "basis_gb_thousand": f"{1000 * doubles / 1e9:.1f}",
        "fit_seconds": f"{recorded['candidates'][BLEND]['fit_seconds']:.1f}",
        **{f"n_{name.lower()}": str(conditions.get(name, 0)) for name in ("Abnorml", "Family", "Partial")},
    }


def dollars(amount: float) -> str:
    return f"{amount:,.0f}"


def dollars_with_interval(stored: Mapping[str, float]) -> str:
    return "{:,.0f} ({:+,.0f} to {:+,.0f})".format(*stored.values())


def percent(share: float, decimals: int = 0) -> str:
    return f"{100 * share:.{decimals}f} %"
