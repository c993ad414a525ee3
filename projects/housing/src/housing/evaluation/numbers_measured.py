"""The numbers of prose that other commands measured: serving, monitoring, other models on all houses."""

import json
import tomllib
from pathlib import Path
from typing import Any

from housing.evaluation.numbers_on_test import dollars, percent

HOURS_A_MONTH = 730
BESIDE = {"blend": "blend", "lightgbm": "LightGBM", "longer": "LightGBM 2000 x 0.02", "catboost": "CatBoost"}


def measured_in_prose(results: Path) -> dict[str, str]:
    """Return the numbers of other commands' results, as far as there are such."""
    found = {"housing_serving.json": of_serving, "drift_power.json": of_monitoring, "housing.json": of_other_models}
    return {
        name: text
        for file, numbers in found.items()
        if (results / file).is_file()
        for name, text in numbers(json.loads((results / file).read_text(encoding="utf-8")), results).items()
    }


def of_serving(recorded: dict[str, Any], results: Path) -> dict[str, str]:
    """Return what a request takes, and what it costs at the assumed price of a core."""
    ours = recorded["rows"]["ours"]
    assumed = tomllib.loads((results.parent / "system_design.toml").read_text(encoding="utf-8"))["assumed"]
    return {
        "cpu_ms": f"{ours['16']['cpu_ms']:.2f}",
        "p50_ms": f"{ours['1']['p50']:.2f}",
        "p99_ms": f"{ours['1']['p99']:.1f}",
        "answers_a_second": f"{ours['16']['a_second']:,.0f}",
        "busy_cores": f"{ours['16']['a_second'] * ours['16']['cpu_ms'] / 1000:.2f}",
        "serving_machine": recorded["machine"],
        "rss_mb": f"{ours['rss_mb']:.0f}",
        "core_month": f"{assumed['core_hour']['value'] * HOURS_A_MONTH:,.0f}",
    }


def of_monitoring(recorded: dict[str, Any], _results: Path) -> dict[str, str]:
    """Return how often the monitor's test alarms: without a drift at any size of window, and of 500 with one."""
    test = "one permutation test"
    rows = {(row["drift"], row["size"]): row["alarms"][test] / row["windows"] for row in recorded["rows"]}
    false = [share for (drift, _), share in rows.items() if drift == "no drift"]
    return {
        "alarm_level": percent(recorded["alpha"]),
        "false_alarms_low": percent(min(false), 1),
        "false_alarms_high": percent(max(false), 1),
        "found_shift": percent(rows["0.5 sd in one number", 500]),
        "found_rise": percent(rows["prices up 25 % in two neighborhoods", 500]),
    }


def of_other_models(recorded: dict[str, Any], _results: Path) -> dict[str, str]:
    """Return mean absolute errors of five folds over all houses, of models with more trees too."""
    errors = {row["name"]: row["mae_mean"] for row in recorded["rows"]}
    return {f"five_folds_{key}": dollars(errors[name]) for key, name in BESIDE.items()}
