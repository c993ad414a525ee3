import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from portfolio_shared.bundle import read_manifest
from portfolio_shared.data.splits import split_digest
from portfolio_shared.operations.watch import read_reference
from portfolio_shared.tracking.runs import UNTRACKED
from portfolio_shared.training import write
from recommender import train as training_module
from recommender.config import ModelSettings, TrainConfig, tuned_settings
from recommender.data.load import Dataset, load, split
from recommender.evaluation.evaluate import recommend_all
from recommender.models.fit import ALS_RECENT, FULL, SERVABLE
from recommender.models.predictor import Predictor
from recommender.serving.observe import DECIMALS
from recommender.train import PROJECT, learn, settings_for, train, user_counts

Json = dict[str, Any]


def quiet() -> Console:
    return Console(quiet=True)


@pytest.mark.long
def test_the_same_data_and_seed_give_the_same_files_and_numbers(quick, tmp_path):
    """The hash of every stored file is equal, and so is every metric in the manifest."""
    other = quick.model_copy(update={"output": tmp_path / "again"})
    first, second = (read_manifest(train(config, quiet())) for config in (quick, other))
    assert first.files == second.files
    assert set(first.files) == {"factors.npz", "films.json", "weights.json", "chance.json", "reference.npz"}
    assert first.model_dump(exclude={"created"}) == second.model_dump(exclude={"created"})


@pytest.mark.long
def test_nothing_looks_at_the_test_before_it_is_evaluated(quick, monkeypatch):
    """With other films hidden in the test, the same model is chosen and fitted; only its metrics differ."""
    before = learn(quick, quiet())

    def other_films(setting: str, *, dataset: str) -> Dataset:
        data = load(setting, dataset=dataset)
        ratings = data.ratings
        hidden = set(before.evaluation.task.keys)
        ids = [film.id for film in data.catalogue.films]
        items = ratings.items.copy()
        seen = {(user, item) for user, item in zip(ratings.users.tolist(), ratings.items.tolist(), strict=True)}
        for row, (user, item) in enumerate(zip(ratings.users.tolist(), ratings.items.tolist(), strict=True)):
            if f"{user}:{ids[item]}" in hidden:
                new = next(i for i in range(len(ids) - 1, 0, -1) if (user, i) not in seen)
                seen.add((user, new))
                items[row] = new
        changed = replace(ratings, items=items, values=np.full(len(items), 3.0, dtype=np.float32))
        kept = np.where([f"{u}:{ids[i]}" in hidden for u, i in zip(ratings.users, ratings.items, strict=True)])[0]
        values = ratings.values.copy()
        values[kept] = 0.5
        return replace(data, ratings=replace(changed, values=values))

    monkeypatch.setattr(training_module, "load", other_films)
    after = learn(quick, quiet())
    assert after.evaluation.task.digest != before.evaluation.task.digest
    assert after.chosen == before.chosen
    np.testing.assert_array_equal(after.predictor.model.factors, before.predictor.model.factors)
    np.testing.assert_array_equal(after.predictor.catalogue.n_ratings, before.predictor.catalogue.n_ratings)
    np.testing.assert_array_equal(after.evaluation.lists, before.evaluation.lists)
    for name, candidate in before.candidates.items():
        assert candidate.metrics["ndcg"] == after.candidates[name].metrics["ndcg"]
    assert after.evaluation.metric("ndcg").estimate < before.evaluation.metric("ndcg").estimate


def test_the_chosen_model_is_the_best_that_can_be_served_and_beats_popularity(trained):
    scores = {name: trained.candidates[name].metrics["ndcg"] for name in SERVABLE}
    assert trained.chosen == max(scores, key=scores.get)
    assert trained.evaluation.metric("ndcg").low > trained.baselines["popularity"]["ndcg_at_10"].high
    assert trained.chosen not in trained.baselines
    assert set(trained.baselines) | {trained.chosen} == set(trained.candidates)


def test_what_is_served_is_what_was_measured(trained, bundle):
    lists = recommend_all(Predictor.load(bundle), trained.evaluation.task)
    np.testing.assert_array_equal(lists, trained.evaluation.lists)


def test_the_manifest_tells_the_whole_story(bundle, trained, train_config):
    manifest = read_manifest(bundle, project="recommender")
    assert (manifest.data.source, manifest.data.name) == ("path", "film ratings in active")
    assert manifest.data.sha256 == load(train_config.data).sha256
    task, parts = trained.evaluation.task, trained.split
    rows = {"train": len(parts.before_test), "test": len(parts.test), "users": len(task.users)}
    assert manifest.data.rows == rows
    assert manifest.data.test_split_sha256 == split_digest(task.keys)
    assert len(task.keys) == len(parts.test)
    assert manifest.config["chosen"] == trained.chosen
    assert (manifest.config["seed"], manifest.config["k"]) == (train_config.seed, train_config.k)
    assert ModelSettings.model_validate({name: manifest.config[name] for name in ModelSettings.model_fields})
    assert manifest.metrics["ndcg_at_10"].estimate == trained.evaluation.metric("ndcg").estimate
    assert manifest.metrics["coverage"].low is None
    intervals = [value for name, value in manifest.metrics.items() if name != "coverage"]
    assert all(value.low <= value.estimate <= value.high for value in intervals)
    assert set(manifest.baselines) == set(trained.baselines)
    assert manifest.labels == ()
    assert (datetime.now(UTC) - manifest.created).days == 0
    assert len(manifest.git_commit) >= 7


def test_a_bundle_holds_no_history(bundle, trained):
    """Films, factors and weights; nothing has a row for every user."""
    n_users = trained.data.ratings.n_users
    with np.load(bundle / "factors.npz", allow_pickle=False) as arrays:
        assert all(n_users not in array.shape for array in arrays.values())
    films = json.loads((bundle / "films.json").read_text(encoding="utf-8"))
    assert set(films[0]) == {"id", "name", "year", "genres", "names", "n_ratings"}


def test_films_are_counted_in_what_was_learned_from(trained):
    counted = trained.predictor.catalogue.n_ratings
    np.testing.assert_array_equal(counted, trained.split.before_test.item_counts())


def test_the_reference_of_a_bundle_is_of_the_whole_histories_of_those_who_were_learned_from(bundle, trained):
    columns, lengths = read_reference(bundle), trained.data.ratings.user_counts()
    assert set(columns) == set(DECIMALS)
    expected = lengths[trained.split.before_test.user_counts() > 0]
    np.testing.assert_array_equal(np.sort(columns["history_length"]), np.sort(expected))


def test_the_models_of_the_reference_are_fitted_as_the_served_one(trained, train_config, monkeypatch):
    used = {}
    monkeypatch.setattr(
        training_module, "recipes", lambda *_, **options: used.update(options) or {trained.chosen: None}
    )
    monkeypatch.setattr(training_module, "reference", lambda *_: {})
    PROJECT.reference(train_config.model_copy(update={"seed": 3, "threads": 2}), trained)
    assert used == {"seed": 3, "threads": 2}


@pytest.mark.long
def test_a_model_that_reads_back_otherwise_is_not_used(trained, train_config, tmp_path):
    """The example of the project, the films that most people rated, sees a change of the weights alone."""
    weigh = replace(trained.predictor.weigh, half_life_share=0.01, half_life_films=0.1)
    project = replace(PROJECT, load=lambda folder: replace(Predictor.load(folder), weigh=weigh))
    config = train_config.model_copy(update={"output": tmp_path / "bundle"})
    with pytest.raises(RuntimeError, match="do not use it"):
        write(project, config, trained, quiet())


def test_who_is_excluded_is_counted(trained):
    counts = user_counts(trained.split, 10_000)
    assert counts["ratings to learn from"] + counts["ratings in the test"] == len(trained.data.ratings)
    assert (counts["users evaluated"], counts["users that were not drawn"]) == (300, 0)
    few = user_counts(trained.split, 30)
    assert (few["users evaluated"], few["users that were not drawn"]) == (30, 270)


@pytest.mark.long
def test_candidates_are_logged_as_they_are_measured(quick):
    logged = []

    class Log(type(UNTRACKED)):
        def child(self, name, params, metrics):
            logged.append((name, params["candidate"], metrics["ndcg"]))

        def log_metrics(self, metrics, *, step=0):
            logged.append(set(metrics))

    trained = learn(quick, quiet(), Log())
    *children, last = logged
    assert last == {"coverage"}
    assert {name: ndcg for name, _, ndcg in children} == {
        name: candidate.metrics["ndcg"] for name, candidate in trained.candidates.items()
    }
    assert all(name == candidate for name, candidate, _ in children)


@pytest.mark.parametrize(("seconds", "warned"), [(1e-9, True), (0, False), (1e9, False)])
def test_a_budget_that_cut_the_grid_is_warned_of(quick, capsys, seconds, warned):
    config = quick.model_copy(update={"grid_seconds": seconds})
    _, details = settings_for(split(load(config.data)), config, Console(width=400))
    tried = 15 if seconds > 1 else 1
    assert (len(details["grid"]["trials"]), details["grid"]["planned"]) == (tried, 15)
    said = "Warning: the budget ended after 1 of 15 trials; a faster machine may choose otherwise from the same data"
    assert (said in capsys.readouterr().out) == warned


@pytest.mark.long
def test_a_large_data_set_is_served_by_als(quick, monkeypatch, capsys):
    """The rule by size: above `most_ratings` EASE is not fitted, and the output says so."""
    few = tuned_settings(path=quick.tuned).model_copy(update={"most_ratings": 100})
    monkeypatch.setattr(training_module, "tuned_settings", lambda path: few)
    # With this test's few factors ALS loses to popularity, which is refused elsewhere.
    monkeypatch.setattr(training_module, "choose", lambda tried: max(set(SERVABLE) & set(tried)))
    trained = learn(quick, Console(width=200))
    assert trained.chosen == ALS_RECENT
    assert FULL not in trained.candidates
    assert "and it ends at 100; ALS serves" in capsys.readouterr().out
    assert hasattr(trained.predictor.model, "alpha")


@pytest.mark.long
def test_without_a_server_the_output_says_that_nothing_was_registered(quick, capsys):
    assert train(quick, Console(width=200)) == quick.output
    printed = capsys.readouterr().out
    assert "Not tracked and not registered" in printed
    assert "few" in printed
    assert "Chosen: " in printed
    assert str(quick.output) in printed.replace("\n", "")


@pytest.mark.real_data
@pytest.mark.usefixtures("latest_small")
@pytest.mark.long
def test_the_public_data_reach_the_numbers(monkeypatch, real_data_dir: Path):
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(real_data_dir))
    trained = learn(TrainConfig(data="full", tracking_uri=""), quiet())
    assert trained.chosen == FULL
    assert len(trained.evaluation.task.users) == 610
    assert trained.evaluation.metric("ndcg").low > 0.132
    for name, expected in {"popularity": 0.087, "item neighbors": 0.116, "ALS": 0.126, "EASE": 0.129}.items():
        assert trained.baselines[name]["ndcg_at_10"].estimate == pytest.approx(expected, abs=0.003)
