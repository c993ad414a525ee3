"""The numbers that prose names, each from what was recorded or from the code."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from math import sqrt
from typing import Any

from housing.config import COVERAGE, TUNED
from housing.data.columns import columns
from housing.data.load import TEST_FRACTION
from housing.evaluation.ablation import HUBER, RIDGE, SERVED
from housing.evaluation.candidates import BLEND, LINEAR, TREES
from housing.evaluation.errors import EXPENSIVE
from housing.evaluation.fairness import THIRDS
from housing.evaluation.families import ALL
from housing.evaluation.left_out import ASKED_WITHOUT, TRAINED_WITHOUT
from housing.evaluation.numbers_on_test import (
    dollars,
    dollars_with_interval,
    of_folds_and_test,
    of_sizes,
    of_visitors,
    percent,
)
from housing.evaluation.study_tables import share_with_interval
from housing.evaluation.tables import AIM
from housing.evaluation.variance import REFITS, SINGLE_TREE

Stored = Mapping[str, Any]


def in_prose(recorded: Stored) -> dict[str, str]:
    """Return name -> number as prose has it, of what `report.json` holds."""
    of_errors = (of_test, of_folds_and_test, of_intervals, of_visitors, of_failures, of_candidates)
    parts = (of_code, *of_errors, of_studies, of_experiment, of_sizes)
    return {name: text for part in parts for name, text in part(recorded).items()}


def of_code(recorded: Stored) -> dict[str, str]:
    """Return sizes and settings."""
    rows, study = recorded["rows"], json.loads(files("housing").joinpath(TUNED).read_text(encoding="utf-8"))["study"]
    return {
        "n_sales": f"{sum(rows.values()):,}",
        "n_train": f"{rows['train']:,}",
        "n_test": f"{rows['test']:,}",
        "n_fields": str(len(columns())),
        "test_share": percent(TEST_FRACTION),
        "interval_level": percent(COVERAGE),
        "level": percent(0.95),
        "aim": percent(AIM),
        "excess": f"{recorded['settings']['scale']['excess']:g}",
        "n_refits": str(REFITS),
        "n_trials": str(study["trials"]),
        "n_pruned": str(study["pruned"]),
        "tuning_gain": f"{study['first_rmsle'] - study['best_rmsle']:.4f}",
    }


def of_test(recorded: Stored) -> dict[str, str]:
    """Return the errors of the test split."""
    test, baselines, metric = recorded["test"], recorded["baselines"], "median_absolute_error"
    rmsle = test["root_mean_squared_log_error"]
    rule = next(name for name in baselines if "square foot" in name)
    names = {"baseline": "median", "rule": rule, "ridge": "ridge", "lightgbm": "LightGBM"}
    return {
        "median_error": dollars(test[metric]["estimate"]),
        "median_error_ten_fields": dollars(recorded["ten_fields"][metric]["estimate"]),
        **{f"median_error_{key}": dollars(baselines[name][metric]["estimate"]) for key, name in names.items()},
        "mae": dollars(test["mean_absolute_error"]["estimate"]),
        "mae_ten_fields": dollars(recorded["ten_fields"]["mean_absolute_error"]["estimate"]),
        "mape": percent(test["mean_absolute_percentage_error"]["estimate"], 1),
        "bias": "{:+,.0f} ({:+,.0f} to {:+,.0f})".format(*test["mean_error"].values()),
        "rmsle": f"{rmsle['estimate']:.3f}",
        "rmsle_low": f"{rmsle['low']:.3f}",
        "rmsle_high": f"{rmsle['high']:.3f}",
        "rmsle_percent": percent(rmsle["estimate"]),
    }


def of_intervals(recorded: Stored) -> dict[str, str]:
    """Return what the intervals hold and how wide they are."""
    fifths = [group for group in recorded["groups"] if group["by"] == "price quintile"]
    return {
        "coverage": percent(recorded["test"]["interval_coverage"]["estimate"], 1),
        "coverage_low": percent(recorded["test"]["interval_coverage"]["low"], 1),
        "coverage_high": percent(recorded["test"]["interval_coverage"]["high"], 1),
        "coverage_cheapest_interval": share_with_interval(fifths[0]["coverage"], fifths[0]["houses"]),
        "coverage_most_expensive_interval": share_with_interval(fifths[-1]["coverage"], fifths[-1]["houses"]),
        "fifth_houses": str(fifths[0]["houses"]),
        "chance_of_a_fifth": percent(sqrt(COVERAGE * (1 - COVERAGE) / fifths[0]["houses"]), 1),
        "coverage_cheapest": percent(fifths[0]["coverage"]),
        "coverage_most_expensive": percent(fifths[-1]["coverage"]),
        "coverage_at_half": percent(recorded["calibration"]["0.5"]),
        "width": dollars(recorded["test"]["mean_interval_width"]["estimate"]),
        "width_ratio": percent(recorded["width_ratio"]["constant_relative"]),
    }


def of_failures(recorded: Stored) -> dict[str, str]:
    """Return where errors are large: the most expensive houses, the cheapest neighborhoods."""
    missing = [house["price"] - house["predicted"] for house in recorded["expensive"]] or [0.0]
    areas = {area["name"]: area for area in recorded["areas"]}
    cheap, single = areas[THIRDS[0]], [area for area in areas.values() if area["name"] not in THIRDS]
    off = [area for area in single if area["mean_error"]["low"] > 0 or area["mean_error"]["high"] < 0]
    return {
        "expensive_from": dollars(EXPENSIVE),
        "expensive_n": str(len(recorded["expensive"])),
        "expensive_low": str(sum(each > 0 for each in missing)),
        "expensive_least": dollars(min(missing)),
        "expensive_most": dollars(max(missing)),
        "cheap_area_error": interval_in_percent(cheap["mean_error"]),
        "cheap_area_median": interval_in_percent(cheap["median_error"]),
        "cheap_area_size": percent(cheap["error"]["estimate"], 1),
        "middle_area_size": percent(areas[THIRDS[1]]["error"]["estimate"], 1),
        "cheap_area_too_high": percent(cheap["too_high"]["estimate"]),
        "middle_area_too_high": percent(areas[THIRDS[1]]["too_high"]["estimate"]),
        "n_areas": str(len(single)),
        "n_areas_off": str(len(off)),
    }


def of_candidates(recorded: Stored) -> dict[str, str]:
    """Return how far other models are behind, and what steps brought, in dollars of mean error."""
    models = {"lightgbm": "LightGBM", "forest": "random forest", "network": "neural network", "ridge": "ridge"}
    steps = {step["name"]: step for step in recorded["ablation"]}
    naive, crossed = (next(s for name, s in steps.items() if part in name) for part in ("naive", "cross-fitted"))
    mae = {key: recorded["candidates"][name]["mae_mean"] for key, name in models.items()}
    return {
        **{f"{key}_more": dollars(recorded["differences"][name]["mae"]["estimate"]) for key, name in models.items()},
        "linear_more": dollars_with_interval(recorded["differences"][LINEAR]["mae"]),
        "trees_more": dollars_with_interval(recorded["differences"][TREES]["mae"]),
        "leak_lower": percent(1 - naive["training_rmsle"] / crossed["training_rmsle"]),
        **step_gains(list(steps.values())),
        "train_trees": f"{crossed['training_rmsle']:.3f}",
        "cv_trees": f"{crossed['rmsle']:.3f}",
        "train_linear": f"{steps[HUBER]['training_rmsle']:.3f}",
        "cv_linear": f"{steps[HUBER]['rmsle']:.3f}",
        "train_blend": f"{steps[SERVED]['training_rmsle']:.3f}",
        "cv_blend": f"{steps[SERVED]['rmsle']:.3f}",
        "mae_trees": dollars(recorded["candidates"][TREES]["mae_mean"]),
        "mae_ridge": dollars(steps[RIDGE]["mae"]),
        "mae_linear": dollars(steps[HUBER]["mae"]),
        "mae_blend": dollars(recorded["candidates"][BLEND]["mae_mean"]),
        "mae_ridge_minus_lightgbm": dollars(mae["ridge"] - mae["lightgbm"]),
        **{
            f"contribution_{i}": dollars(amount)
            for i, amount in enumerate(list(recorded["contributions"].values())[:3], start=1)
        },
    }


def step_gains(steps: Sequence[Stored]) -> dict[str, str]:
    """Return by how many dollars steps of the linear member lower the mean error, each beside the step before."""
    words = {"logarithms": "logs", "products": "products", "derived": "derived", "slopes": "slopes", "Huber": "huber"}
    return {
        f"step_{key}": dollars(before["mae"] - step["mae"])
        for before, step in pairwise(steps)
        for word, key in words.items()
        if word in step["name"]
    }


def of_studies(recorded: Stored) -> dict[str, str]:
    """Return what refits, fields that are left out, and a split by year say."""
    spreads = {spread["name"]: spread for spread in recorded["bias_variance"]}
    without, year = {row["name"]: row for row in recorded["left_out"]}, recorded["next_year"]
    sale, _, place = (without[name] for name in TRAINED_WITHOUT)
    blend = next(row for row in year["rows"] if row["name"] == BLEND)
    together, single = (
        [family for family in recorded["families"] if (family["name"] == ALL) == wanted] for wanted in (True, False)
    )
    signed = "{:+.4f} ({:+.4f} to {:+.4f})".format
    return {
        "variance_share": variance_share(spreads[BLEND]),
        "variance_tree": variance_share(spreads[SINGLE_TREE]),
        "variance_forest": variance_share(spreads["random forest"]),
        "without_sale_rmsle": signed(*sale["rmsle_difference"].values()),
        "without_sale_mae": "{:,.0f} ({:+,.0f} to {:+,.0f})".format(*sale["mae_difference"].values()),
        "unasked_sale_mae": "{:,.0f} ({:+,.0f} to {:+,.0f})".format(*without[ASKED_WITHOUT]["mae_difference"].values()),
        "without_place_mae": dollars(place["mae_difference"]["estimate"]),
        "best_family": f"{single[0]['difference']['estimate']:.4f}",
        "all_families": f"{together[0]['difference']['estimate']:.4f}",
        "families_free": str(sum(family["difference"]["low"] <= 0 for family in single)),
        "n_families": str(len(single)),
        "last_year": str(year["year"]),
        "before_n": f"{year['learned']:,}",
        "after_n": f"{year['houses']:,}",
        "next_year_difference": signed(*blend["difference"].values()),
        "coverage_next_year": percent(year["coverage"]["estimate"]),
    }


def of_experiment(recorded: Stored) -> dict[str, str]:
    """Return the sizes of a shadow and of an A/B test."""
    sizes = recorded["experiment"]
    return {
        "effect": percent(sizes["effect"]),
        "sd_of_an_error": f"{sizes['sd_of_an_error']:.3f}",
        "sd_of_a_difference": f"{sizes['sd_of_a_difference']:.3f}",
        "shadow_size": f"{sizes['shadow']:,}",
        "shadow_months": f"{12 * sizes['shadow'] / sizes['sales_a_year']:.0f}",
        "ab_years": f"{sizes['ab_test'] / sizes['sales_a_year']:.1f}",
        "ab_size": f"{sizes['ab_test']:,}",
        "sales_a_year": f"{sizes['sales_a_year']:,.0f}",
    }


def variance_share(spread: Stored) -> str:
    """Return how much of a model's error is variance."""
    bias, variance = (spread[part]["estimate"] for part in ("bias", "variance"))
    return percent(variance / (bias + variance))


def interval_in_percent(stored: Mapping[str, float]) -> str:
    return "{:.1f} % ({:.1f} to {:.1f})".format(*(100 * value for value in stored.values()))
