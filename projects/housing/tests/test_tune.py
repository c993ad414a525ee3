import io
import json
from dataclasses import replace

import numpy as np
import optuna
import pytest
from rich.console import Console

from housing import tune as tune_module
from housing.config import ModelSettings, TreeSettings, TuneConfig, tuned_settings
from housing.data.load import Dataset, split
from housing.models.fit import fit_members
from housing.tune import best_weight, flat, fold_errors, log_trial, settings_of, suggest, tune
from portfolio_shared.evaluation.regression import root_mean_squared_log_error
from portfolio_shared.tracking.client import TrackingUnavailable

N = 120


@pytest.fixture(scope="module")
def part(dataset, some_sales) -> Dataset:
    return replace(dataset, sales=some_sales(N))


@pytest.fixture
def small(monkeypatch, tmp_path, part) -> TuneConfig:
    """A study on 120 houses with few trees, which writes its result into a temporary folder."""

    def quick_fit(records, prices, settings, *, threads):
        few = TreeSettings(iterations=5, depth=2, learning_rate=settings.trees.learning_rate)
        return fit_members(records, prices, settings.model_copy(update={"trees": few}), threads=threads)

    monkeypatch.setattr(tune_module, "load", lambda setting: part)
    monkeypatch.setattr(tune_module, "fit_members", quick_fit)
    monkeypatch.setattr(tune_module, "COMMITTED", tmp_path / "tuned.json")
    return TuneConfig(data="sample", trials=3, study=tmp_path / "folder" / "study.db", threads=1)


def study_of(config: TuneConfig) -> optuna.Study:
    (name,) = optuna.get_all_study_names(f"sqlite:///{config.study}")
    return optuna.load_study(study_name=name, storage=f"sqlite:///{config.study}")


@pytest.mark.long
def test_a_study_goes_on_where_it_stopped(small, tmp_path):
    tune(small, Console(quiet=True))
    first = study_of(small)
    params, value = [trial.params for trial in first.trials], first.best_value
    assert len(params) == 3
    assert params[0] == pytest.approx(flat(tuned_settings()))  # the settings in use
    tune(small.model_copy(update={"trials": 5}), Console(quiet=True))
    both = study_of(small)
    assert len(both.trials) == 5
    assert [trial.params for trial in both.trials[:3]] == params
    assert both.best_value <= value
    # A sampler that starts from its seed again would repeat what the first run drew.
    assert len({tuple(sorted(trial.params.items())) for trial in both.trials}) == 5
    tune(small.model_copy(update={"trials": 5}), Console(quiet=True))  # nothing is left to do
    assert len(study_of(small).trials) == 5


@pytest.mark.long
@pytest.mark.parametrize("gains", [[0.01, 0.01, 0.01], [0.01, 0.0, -0.01], [0.0, 0.0, 0.1]])
def test_the_best_trial_is_written_only_where_it_is_better_by_more_than_chance(small, tmp_path, monkeypatch, gains):
    in_use, errors = tuned_settings(), np.array([0.1, 0.2, 0.3])
    monkeypatch.setattr(
        tune_module,
        "fold_errors",
        lambda split, settings, *, threads: errors if settings == in_use else errors - gains,
    )
    tune(small.model_copy(update={"trials": 1}), Console(quiet=True))
    written = json.loads((tmp_path / "tuned.json").read_text(encoding="utf-8"))
    best = settings_of(study_of(small).best_trial)
    assert written["study"]["taken"] == (gains[0] == gains[2])
    assert best != in_use
    assert ModelSettings.model_validate(written["settings"]) == (best if written["study"]["taken"] else in_use)


def test_the_errors_of_the_folds_are_those_of_the_blend(monkeypatch, small, part):
    parts, settings = split(part, folds=3), tuned_settings()
    errors = fold_errors(parts, settings, threads=1)
    (_, inside, outside), *_ = parts.folds()
    linear, trees = tune_module.fit_members(inside.records, inside.prices, settings, threads=1).log_prices(
        outside.records
    )
    weight = settings.linear_weight
    blend = np.exp(weight * linear + (1 - weight) * trees)
    assert len(errors) == 3
    assert errors[0] == pytest.approx(root_mean_squared_log_error(outside.prices, blend))


def test_no_data_are_loaded_for_a_server_that_does_not_answer(small, monkeypatch):
    monkeypatch.setattr(tune_module, "load", lambda setting: pytest.fail("the data were loaded"))
    with pytest.raises(TrackingUnavailable):
        tune(small.model_copy(update={"tracking_uri": "http://127.0.0.1:9"}), Console(quiet=True))


@pytest.mark.long
def test_what_is_written_is_what_training_reads(small, part, tmp_path, monkeypatch):
    monkeypatch.setattr(tune_module, "better_by_more_than_chance", lambda *_: True)
    tune(small, Console(quiet=True))
    written = json.loads((tmp_path / "tuned.json").read_text(encoding="utf-8"))
    study = study_of(small)
    best = settings_of(study.best_trial)
    assert ModelSettings.model_validate(written["settings"]) == best
    assert written["study"]["trials"] == len(study.trials) == 3
    assert written["study"]["complete"] + written["study"]["pruned"] == 3
    assert written["study"]["best_rmsle"] == round(study.best_value, 5)
    assert written["study"]["data_sha256"] == part.sha256
    assert tuned_settings(tmp_path / "tuned.json") == best
    assert not small.study.with_suffix(".json").exists()


@pytest.mark.long
def test_a_search_of_ones_own_data_leaves_the_package_as_it_is(small, part, tmp_path, monkeypatch):
    own = replace(part, source=replace(part.source, kind="path"))
    monkeypatch.setattr(tune_module, "load", lambda setting: own)
    monkeypatch.setattr(tune_module, "better_by_more_than_chance", lambda *_: True)
    console = Console(record=True, width=500, file=io.StringIO())
    tune(small.model_copy(update={"trials": 1}), console)
    written = small.study.with_suffix(".json")
    assert not (tmp_path / "tuned.json").exists()
    assert f"housing train --tuned {written}" in console.export_text()
    assert tuned_settings(written) == settings_of(study_of(small).best_trial)


def test_the_committed_settings_are_the_best_of_their_study_and_within_its_bounds():
    settings = tuned_settings()
    again = suggest(optuna.trial.FixedTrial(flat(settings)))
    assert flat(again) == flat(settings)
    assert again.trees == settings.trees


@pytest.mark.long
def test_the_objective_never_sees_the_test_split(small, part, monkeypatch):
    parts = split(part)
    asked = []

    def spying(records, prices, settings, *, threads):
        asked.extend(prices.tolist())
        return fit_members(
            records, prices, settings.model_copy(update={"trees": TreeSettings(iterations=2)}), threads=threads
        )

    monkeypatch.setattr(tune_module, "fit_members", spying)
    tune(small.model_copy(update={"trials": 1}), Console(quiet=True))
    assert sorted(asked) == sorted(parts.train.prices.tolist() * 4 * 3)  # each house in four of five fits, three times
    assert len(parts.test.frame) > 0


def test_every_trial_is_logged_with_its_state():
    study = optuna.create_study()
    logged, steps = [], []

    class Log:
        def log_metrics(self, metrics, *, step=0) -> None:
            raise AssertionError("a trial is a child run")

        def child(self, name, params, metrics) -> None:
            logged.append((name, params["state"], metrics))

    def objective(trial):
        trial.report(0.5, step=0)
        if trial.number == 1:
            raise optuna.TrialPruned
        return 0.25

    study.optimize(objective, n_trials=2, callbacks=[log_trial(Log(), steps.append)])
    assert logged == [("trial 0", "COMPLETE", {"rmsle": 0.25}), ("trial 1", "PRUNED", {"rmsle": 0.5})]
    assert steps == ["best RMSLE so far 0.25000"] * 2


def test_the_best_weight_is_the_best_of_the_grid():
    rng = np.random.default_rng(0)
    truth = rng.normal(12, 0.3, 400)
    linear, trees = truth + rng.normal(0, 0.1, 400), truth + rng.normal(0, 0.2, 400)
    weight, error = best_weight(linear, trees, np.exp(truth))
    assert 0.7 <= weight <= 0.9  # four fifths: weights go with the inverse variances
    assert error == pytest.approx(
        root_mean_squared_log_error(np.exp(truth), np.exp(weight * linear + (1 - weight) * trees))
    )
    assert best_weight(truth, trees, np.exp(truth)) == (1.0, pytest.approx(0, abs=1e-12))
    assert best_weight(linear, truth, np.exp(truth)) == (0.0, pytest.approx(0, abs=1e-12))


def test_what_is_searched_stays_within_what_is_allowed():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        settings = suggest(study.ask())
        assert ModelSettings.model_validate(settings.model_dump()) == settings
        assert set(flat(settings)) == set(study.trials[-1].params)
