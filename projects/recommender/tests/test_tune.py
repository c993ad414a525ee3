import io
import json
from importlib.resources import files

import numpy as np
import pytest
from rich.console import Console

from recommender import tune as module
from recommender.config import AlsSettings, EaseSettings, ModelSettings, PeerSettings, TuneConfig, tuned_settings
from recommender.data.load import load_movielens
from recommender.data.sample import write_sample
from recommender.data.splits import split_at_random, split_by_user_time
from recommender.evaluation import candidates as candidates_module
from recommender.evaluation.candidates import ALS, ALS_FADING, EASE, FULL
from recommender.tune import GRIDS, Study, grids_of, is_better, score, search, tune, validation_tasks

SMALL = ModelSettings(
    ease=EaseSettings(rank=8, min_raters=2, penalty=20.0),
    als=AlsSettings(n_factors=2, iterations=1),
    peers=PeerSettings(ease_penalty=1.0),
)


@pytest.fixture
def config(monkeypatch, tmp_path) -> TuneConfig:
    """A search among a few settings on 80 generated users, which writes its result into a temporary folder."""
    folder = write_sample(tmp_path / "few", n_users=80, n_films=150, mean_ratings=40)
    monkeypatch.setattr(module, "tuned_settings", lambda split: SMALL)
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    monkeypatch.setattr(
        module, "GRIDS", {FULL: {"ease.penalty": (5, 20), "history.rating_slope": (0.0, 0.3)}, EASE: GRIDS[EASE]}
    )
    (tmp_path / "tuned.json").write_text(json.dumps({"time": {"old": 1}, "random": {"old": 2}}))
    return TuneConfig(data=str(folder), rounds=1)


def test_what_is_written_is_what_training_reads(config, tmp_path, monkeypatch):
    best = tune(config, Console(quiet=True))
    stored = json.loads((tmp_path / "tuned.json").read_text(encoding="utf-8"))
    assert stored["random"] == {"old": 2}
    study = stored["time"]["study"]
    assert study["fits"] == {FULL: 1 + 4, EASE: 1 + 6}
    assert study["data_sha256"] == load_movielens(config.data).sha256
    assert all(study["best"][name] >= study["first"][name] for name in (FULL, EASE))
    monkeypatch.setattr("recommender.config.files", lambda package: tmp_path)
    assert tuned_settings("time") == best


def test_each_candidate_has_its_own_settings(config):
    best = tune(config, Console(quiet=True))
    assert best.als == SMALL.als
    assert (best.ease.min_raters, best.ease.rank) == (2, 8)  # never searched, see "Privacy"


def test_random_ratings_are_tuned_without_their_order(config, tmp_path):
    tune(config.model_copy(update={"split": "random"}), Console(quiet=True))
    stored = json.loads((tmp_path / "tuned.json").read_text(encoding="utf-8"))
    assert stored["time"] == {"old": 1}
    assert stored["random"]["study"]["fits"][FULL] == 1 + 2
    assert ALS_FADING not in grids_of("random")  # it would be ALS again
    assert not any(name.startswith("history.") for grid in grids_of("random").values() for name in grid)


def test_candidates_that_the_data_are_too_large_for_are_left_out_and_named(config, tmp_path, monkeypatch):
    """With a limit of 79 users exact EASE cannot be fitted, and with one rating fewer than there are the served one."""
    monkeypatch.setattr(candidates_module, "LARGEST_EIGENPROBLEM", 79)
    before = len(validation_tasks(load_movielens(config.data), config)[0].before)
    monkeypatch.setattr(module, "tuned_settings", lambda split: SMALL.model_copy(update={"most_ratings": before - 1}))
    monkeypatch.setattr(module, "GRIDS", {**module.GRIDS, ALS: {"als.alpha": (1, 2)}})
    console = Console(record=True, width=200, quiet=False, file=io.StringIO())
    tune(config, console)
    study = json.loads((tmp_path / "tuned.json").read_text(encoding="utf-8"))["time"]["study"]
    assert set(study["fits"]) == {ALS}
    assert [said.split(":")[0] for said in study["left_out"]] == [EASE, FULL]
    printed = console.export_text()
    assert all(f"Not searched: {said}" in printed for said in study["left_out"])
    assert "ALS: nDCG@10" in printed


def test_only_so_many_users_are_drawn(config, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_USERS", 20)
    tune(config, Console(quiet=True))
    assert json.loads((tmp_path / "tuned.json").read_text(encoding="utf-8"))["time"]["study"]["users"] == 20


def test_a_search_that_is_stopped_keeps_what_it_finished(config, tmp_path, monkeypatch):
    """Stopped in the second candidate: what the first found stands in the file."""
    searched = module.search

    def stop(candidate, *args, **kwargs):
        if candidate == EASE:
            raise KeyboardInterrupt
        return searched(candidate, *args, **kwargs)

    monkeypatch.setattr(module, "search", stop)
    with pytest.raises(KeyboardInterrupt):
        tune(config, Console(quiet=True))
    stored = json.loads((tmp_path / "tuned.json").read_text(encoding="utf-8"))["time"]
    assert set(stored["study"]["fits"]) == {FULL}
    assert stored["settings"]["peers"]["ease_penalty"] == 1.0


@pytest.mark.parametrize(("split", "borrower"), [("time", ALS_FADING), ("random", FULL)])
def test_what_is_best_for_a_borrower_is_recorded_and_not_taken(config, tmp_path, monkeypatch, split, borrower):
    def by_settings(candidate, settings, tasks, config):
        return np.arange(5) + settings.als.alpha + settings.ease.penalty

    monkeypatch.setattr(module, "score", by_settings)
    monkeypatch.setattr(module, "GRIDS", {borrower: {"als.alpha": (1, 9), "ease.penalty": (5, 99)}})
    best = tune(config.model_copy(update={"split": split}), Console(quiet=True))
    study = json.loads((tmp_path / "tuned.json").read_text(encoding="utf-8"))[split]["study"]
    assert study["borrowed"] == [borrower]
    assert study["best"][borrower] == 2 + 9 + 99
    assert study["changed"] == {borrower: {"als.alpha": 9.0, "ease.penalty": 99.0}}
    assert best == SMALL


@pytest.mark.parametrize("split", ["time", "random"])
def test_no_rating_of_a_test_is_seen(config, split):
    data = load_movielens(config.data)
    ratings = data.movielens.ratings
    test = (split_by_user_time(ratings) if split == "time" else split_at_random(ratings, seed=0)).test
    tested = set(zip(test.users.tolist(), test.items.tolist(), strict=True))
    tasks = validation_tasks(data, config.model_copy(update={"split": split}))
    assert len(tasks) == (1 if split == "time" else 3)
    for task in tasks:
        for part in (task.before, task.hidden):
            assert not tested & set(zip(part.users.tolist(), part.items.tolist(), strict=True))
    assert len({task.digest for task in tasks}) == len(tasks)


def test_only_what_is_better_by_more_than_chance_is_taken():
    rng = np.random.default_rng(0)
    champion = rng.random(100)
    noise = rng.normal(0, 0.1, 100)
    assert not is_better(champion + noise - noise.mean() + 0.015, champion)  # 1.5 standard errors
    assert is_better(champion + noise - noise.mean() + 0.025, champion)  # 2.5
    assert not is_better(champion, champion)


def test_a_search_takes_what_is_better_and_leaves_what_is_not(config, monkeypatch):
    """Scores that depend on the penalty alone, highest at 200; all users gain alike."""

    def by_penalty(candidate, settings, tasks, config):
        return np.full(5, -abs(settings.peers.ease_penalty - 200)) + np.arange(5)

    monkeypatch.setattr(module, "score", by_penalty)
    study = Study()
    found = search(EASE, GRIDS[EASE], SMALL, [], config=config, study=study)
    assert found.peers.ease_penalty == 200
    assert study.best[EASE] == study.tried[EASE][2] == 2
    assert len(study.tried[EASE]) == 1 + len(GRIDS[EASE]["peers.ease_penalty"])
    assert search(EASE, {"peers.ease_penalty": (100, 400)}, found, [], config=config, study=study) == found


def test_a_score_is_one_number_a_user(config):
    data = load_movielens(config.data)
    tasks = validation_tasks(data, config.model_copy(update={"split": "random"}))
    both = score(EASE, SMALL, tasks, config)
    apart = [score(EASE, SMALL, [task], config) for task in tasks]
    assert len(both) == data.movielens.ratings.n_users
    np.testing.assert_allclose(both, np.mean(apart, axis=0))


def test_the_committed_settings_are_of_the_grids_and_were_not_made_worse():
    committed = json.loads(files("recommender").joinpath("tuned.json").read_text(encoding="utf-8"))
    for split in ("time", "random"):
        study = committed[split]["study"]
        assert set(study["fits"]) == set(grids_of(split))
        assert study["left_out"] == []
        assert committed[split]["settings"]["ease"]["penalty"] in GRIDS[FULL]["ease.penalty"]
    assert committed["random"]["settings"]["ease"] == committed["time"]["settings"]["ease"]
    # Only borrowers would be better with other settings than those in use: everybody else has them.
    for split in ("time", "random"):
        study = committed[split]["study"]
        assert {name for name, changed in study["changed"].items() if changed} <= set(study["borrowed"])
