import io
import json
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from rich.console import Console

from recommender import tune as module
from recommender.config import AlsSettings, BaselineSettings, EaseSettings, ModelSettings, TuneConfig, tuned_settings
from recommender.data.load import load
from recommender.data.splits import split_at_random, split_by_user_time
from recommender.models import fit as fit_module
from recommender.models.fit import ALS, ALS_RECENT, EASE, FULL
from recommender.tune import RECENCY_SPACE, SPACES, score, spaces_of, tune, validation_tasks, with_changes

SMALL = ModelSettings(
    ease=EaseSettings(rank=8, min_raters=2, penalty=20.0),
    als=AlsSettings(n_factors=2, iterations=1),
    baselines=BaselineSettings(ease_penalty=1.0),
)
FEW = {
    FULL: {"ease.penalty": FloatDistribution(5, 50, log=True), **RECENCY_SPACE},
    EASE: {"baselines.ease_penalty": FloatDistribution(1, 800, log=True)},
}


@pytest.fixture
def config(monkeypatch, write_slice, tmp_path) -> TuneConfig:
    """A search of four trials on 80 people, which writes its result into a temporary folder."""
    folder = write_slice(tmp_path / "few", 80)
    monkeypatch.setattr(module, "tuned_settings", lambda split: SMALL)
    monkeypatch.setattr(module, "SPACES", FEW)
    (tmp_path / "tuned.json").write_text(json.dumps({"time": {"old": 1}, "random": {"old": 2}}))
    return TuneConfig(data=str(folder), trials=4, study=tmp_path / "study.db", output=tmp_path / "tuned.json")


def quiet() -> Console:
    return Console(quiet=True)


def stored(tmp_path) -> dict:
    return json.loads((tmp_path / "tuned.json").read_text(encoding="utf-8"))


def scored(monkeypatch, scores) -> None:
    """Replace fits by a function of the settings; five users, who all gain alike."""
    monkeypatch.setattr(
        module, "score", lambda candidate, settings, tasks, config: np.arange(5) + float(scores(settings))
    )


@pytest.mark.long
def test_what_is_written_is_what_training_reads(config, tmp_path, monkeypatch):
    tune(config, quiet())
    study = stored(tmp_path)["time"]["study"]
    assert stored(tmp_path)["random"] == {"old": 2}
    assert study["fits"] == {FULL: 4, EASE: 4}
    assert study["data_sha256"] == load(config.data).sha256
    assert all(study["best"][name] >= study["first"][name] for name in (FULL, EASE))
    settings = tuned_settings("time", config.output)
    assert settings.als == SMALL.als
    assert (settings.ease.min_raters, settings.ease.rank) == (2, 8)  # never searched, see "Privacy"


@pytest.mark.long
def test_a_search_goes_on_where_it_stopped(config, tmp_path, monkeypatch):
    fits = []
    scored(monkeypatch, lambda settings: fits.append(settings) or 0)
    tune(config.model_copy(update={"trials": 2}), quiet())
    first = len(fits)
    assert fits[0] == SMALL != fits[1]  # the settings in use are the first trial
    tune(config, quiet())
    compared = 2 * len(FEW)  # the best and the settings in use, once more for each candidate
    assert first == 2 * len(FEW) + compared
    assert len(fits) - first == 2 * len(FEW) + compared
    assert stored(tmp_path)["time"]["study"]["fits"] == {FULL: 4, EASE: 4}


@pytest.mark.long
def test_random_ratings_are_tuned_without_their_order(config, tmp_path):
    tune(config.model_copy(update={"split": "random"}), quiet())
    assert stored(tmp_path)["time"] == {"old": 1}
    assert ALS_RECENT not in spaces_of("random")  # it would be ALS again
    assert not any(name.startswith("history.") for space in spaces_of("random").values() for name in space)


@pytest.mark.long
def test_candidates_that_the_data_are_too_large_for_are_excluded_and_named(config, tmp_path, monkeypatch):
    """With a limit of 79 users exact EASE cannot be fitted, and with one rating fewer than there are the served one."""
    monkeypatch.setattr(fit_module, "LARGEST_EIGENPROBLEM", 79)
    before = len(validation_tasks(load(config.data), config)[0].before)
    monkeypatch.setattr(module, "tuned_settings", lambda split: SMALL.model_copy(update={"most_ratings": before - 1}))
    monkeypatch.setattr(module, "SPACES", {**FEW, ALS: {"als.n_factors": IntDistribution(1, 2)}})
    console = Console(record=True, width=200, quiet=False, file=io.StringIO())
    tune(config, console)
    study = stored(tmp_path)["time"]["study"]
    assert set(study["fits"]) == {ALS}
    assert [reason.split(":")[0] for reason in study["excluded"]] == [EASE, FULL]
    printed = console.export_text()
    assert all(f"Not searched: {reason}" in printed for reason in study["excluded"])
    assert "ALS: nDCG@10" in printed


def test_a_search_that_is_stopped_keeps_what_it_finished(config, tmp_path, monkeypatch):
    """Stopped in the second candidate: what came of the first stands in the file."""
    run_study = module.run_study

    def stop(candidate, *args, **options):
        if candidate == EASE:
            raise KeyboardInterrupt
        return run_study(candidate, *args, **options)

    monkeypatch.setattr(module, "run_study", stop)
    with pytest.raises(KeyboardInterrupt):
        tune(config, quiet())
    assert set(stored(tmp_path)["time"]["study"]["fits"]) == {FULL}
    assert stored(tmp_path)["time"]["settings"]["baselines"]["ease_penalty"] == 1.0


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "dataset", "written"),
    [
        ("full", "latest-small", "tuned.json"),
        ("full", "1m", "study.json"),
        ("sample", "latest-small", "study.json"),
        ("path", "latest-small", "study.json"),
    ],
)
def test_only_a_search_on_latest_small_changes_the_package(config, monkeypatch, kind, dataset, written):
    scored(monkeypatch, lambda settings: settings.baselines.ease_penalty)
    monkeypatch.setattr(module, "COMMITTED", config.output)
    few = load(config.data)
    monkeypatch.setattr(module, "load", lambda setting, dataset: replace(few, source=replace(few.source, kind=kind)))
    before = config.output.read_text(encoding="utf-8")
    console = Console(record=True, width=500, file=io.StringIO())
    tune(config.model_copy(update={"dataset": dataset, "output": None, "trials": 2}), console)
    path, printed = config.study.with_name(written), console.export_text()
    assert (config.output.read_text(encoding="utf-8") == before) == (path != config.output)
    assert f"Written to {path}" in printed
    assert ("recommender train --tuned" in printed) == (path != config.output)
    assert tuned_settings("time", path).ease.rank == SMALL.ease.rank


@pytest.mark.long
def test_without_write_nothing_is_written(config, tmp_path):
    tune(config.model_copy(update={"write": False, "trials": 2}), quiet())
    assert stored(tmp_path) == {"time": {"old": 1}, "random": {"old": 2}}


@pytest.mark.long
@pytest.mark.parametrize(("split", "borrower"), [("time", ALS_RECENT), ("random", FULL)])
def test_what_is_best_for_a_borrower_is_recorded_and_not_taken(config, tmp_path, monkeypatch, split, borrower):
    scored(monkeypatch, lambda settings: settings.als.alpha)
    monkeypatch.setattr(module, "SPACES", {borrower: {"als.alpha": FloatDistribution(1, 9)}})
    tune(config.model_copy(update={"split": split}), quiet())
    study = stored(tmp_path)[split]["study"]
    assert study["borrowed"] == [borrower]
    assert study["changed"][borrower]["als.alpha"] > SMALL.als.alpha
    assert ModelSettings.model_validate(stored(tmp_path)[split]["settings"]) == SMALL


@pytest.mark.long
def test_a_search_takes_what_is_better(config, tmp_path, monkeypatch):
    scored(monkeypatch, lambda settings: -abs(settings.baselines.ease_penalty - 200))
    monkeypatch.setattr(module, "SPACES", {EASE: FEW[EASE]})
    tune(config.model_copy(update={"trials": 15}), quiet())
    part = stored(tmp_path)["time"]
    assert abs(part["settings"]["baselines"]["ease_penalty"] - 200) < 199
    assert part["study"]["changed"][EASE] == {"baselines.ease_penalty": part["settings"]["baselines"]["ease_penalty"]}


@pytest.mark.parametrize("split", ["time", "random"])
def test_no_rating_of_a_test_is_seen(config, split):
    data = load(config.data)
    by_time = split == "time"
    test = (split_by_user_time if by_time else split_at_random)(data.ratings, data.catalogue).test
    tested = set(zip(test.users.tolist(), test.items.tolist(), strict=True))
    tasks = validation_tasks(data, config.model_copy(update={"split": split}))
    assert len(tasks) == (1 if by_time else 3)
    for task in tasks:
        for part in (task.before, task.hidden):
            assert not tested & set(zip(part.users.tolist(), part.items.tolist(), strict=True))
    assert len({task.digest for task in tasks}) == len(tasks)


def test_a_user_has_the_mean_score_of_all_tasks(config):
    data = load(config.data)
    tasks = validation_tasks(data, config.model_copy(update={"split": "random"}))
    both = score(EASE, SMALL, tasks, config)
    apart = [score(EASE, SMALL, [task], config) for task in tasks]
    assert len(both) == data.ratings.n_users
    np.testing.assert_allclose(both, np.mean(apart, axis=0))


def test_settings_are_changed_by_their_names_to_three_digits():
    changed = with_changes(SMALL, {"ease.penalty": 123.456, "als.n_factors": 7})
    assert (changed.ease.penalty, changed.als.n_factors) == (123.0, 7)
    assert changed.ease.rank == SMALL.ease.rank


@pytest.mark.long
@pytest.mark.slow
def test_trials_are_runs_below_the_run_of_the_search(config, mlflow_server, monkeypatch):
    from portfolio_shared.tracking.client import tracking_client

    scored(monkeypatch, lambda settings: settings.baselines.ease_penalty / 1000)
    monkeypatch.setattr(module, "SPACES", {EASE: FEW[EASE]})
    monkeypatch.setattr(module, "MODEL_NAME", "tuning-of-films")
    tune(config.model_copy(update={"tracking_uri": mlflow_server}), quiet())
    with tracking_client(mlflow_server) as client:
        experiment = client.get_experiment_by_name("tuning-of-films").experiment_id
        runs = client.search_runs([experiment])
    (parent,) = (run for run in runs if run.info.run_name == "tuning, split by time")
    trials = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert {run.info.run_name for run in trials} == {f"{EASE}, trial {number}" for number in range(4)}
    assert all(run.data.metrics["ndcg"] >= 2 for run in trials)


def test_the_committed_settings_are_of_the_spaces_and_were_not_made_worse():
    committed = json.loads(files("recommender").joinpath("tuned.json").read_text(encoding="utf-8"))
    for split in ("time", "random"):
        study = committed[split]["study"]
        assert set(study["fits"]) == set(spaces_of(split))
        assert study["excluded"] == []
        penalty = SPACES[FULL]["ease.penalty"]
        assert penalty.low <= committed[split]["settings"]["ease"]["penalty"] <= penalty.high
        # Only borrowers would be better with other settings than those in use: everybody else has them.
        assert {name for name, changed in study["changed"].items() if changed} <= set(study["borrowed"])
    assert committed["random"]["settings"]["ease"] == committed["time"]["settings"]["ease"]
