"""The numbers of prose that other commands measured, from records small enough to read."""

import json

import pytest

from housing.evaluation.numbers_measured import measured_in_prose, of_monitoring, of_other_models, of_serving


def test_without_the_records_there_are_no_numbers(tmp_path):
    assert measured_in_prose(tmp_path) == {}


def test_a_record_that_is_there_is_read(tmp_path):
    names = ("blend", "LightGBM", "LightGBM 2000 x 0.02", "CatBoost")
    rows = [{"name": name, "mae_mean": 12_000.4 + i} for i, name in enumerate(names)]
    (tmp_path / "housing.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
    assert measured_in_prose(tmp_path) == of_other_models({"rows": rows}, tmp_path)
    assert measured_in_prose(tmp_path)["five_folds_longer"] == "12,002"


def test_a_process_that_keeps_more_than_a_core_busy_is_said_to(tmp_path):
    (tmp_path / "system_design.toml").write_text("[assumed.core_hour]\nvalue = 0.1\n", encoding="utf-8")
    ours = {"1": {"p50": 0.5, "p99": 2.0}, "16": {"cpu_ms": 0.5, "a_second": 3000.0}, "rss_mb": 100.2}
    numbers = of_serving({"rows": {"ours": ours}, "machine": "2 cores"}, tmp_path / "results")
    assert (numbers["busy_cores"], numbers["answers_a_second"], numbers["core_month"]) == ("1.50", "3,000", "73")


@pytest.mark.parametrize("size", [100, 500])
def test_alarms_without_a_drift_are_counted_over_all_sizes_and_finds_at_500(size, tmp_path):
    drifts = {"no drift": 2, "0.5 sd in one number": 50, "prices up 25 % in two neighborhoods": 15}
    rows = [
        {"drift": drift, "size": n, "windows": 50, "alarms": {"one permutation test": alarms + (n == size)}}
        for drift, alarms in drifts.items()
        for n in (100, 500)
    ]
    numbers = of_monitoring({"rows": rows, "alpha": 0.01}, tmp_path)
    assert (numbers["alarm_level"], numbers["false_alarms_low"], numbers["false_alarms_high"]) == (
        "1 %",
        "4.0 %",
        "6.0 %",
    )
    assert numbers["found_rise"] == ("32 %" if size == 500 else "30 %")
