import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from portfolio_shared.bundle import BundleError, read_manifest
from portfolio_shared.data.splits import split_digest
from recommender import train as training_module
from recommender.config import AlsSettings, EaseSettings, ModelSettings, TrainConfig
from recommender.data.load import Loaded, load_movielens
from recommender.data.sample import write_sample
from recommender.evaluation.candidates import FULL, SERVABLE
from recommender.evaluation.evaluate import evaluate, recommend_all
from recommender.models.predictor import Predictor, Seen
from recommender.train import (
    comparison_with,
    describe,
    input_statistics,
    learn,
    train,
    who_is_left_out,
    write,
)

QUICK = ModelSettings(
    ease=EaseSettings(rank=16, min_raters=2, penalty=20.0), als=AlsSettings(n_factors=4, iterations=2)
)


@pytest.fixture
def quick(monkeypatch, tmp_path) -> TrainConfig:
    """A second of training: 80 generated users, few factors."""
    monkeypatch.setattr(training_module, "tuned_settings", lambda: QUICK)
    folder = write_sample(tmp_path / "few", n_users=80, n_films=150, mean_ratings=40)
    return TrainConfig(data=str(folder), tracking_uri="", output=tmp_path / "bundle")


def quiet() -> Console:
    return Console(quiet=True)


def test_the_same_data_and_seed_give_the_same_files_and_numbers(quick, tmp_path):
    """Not alike: the hash of every stored file is equal, and so is every metric in the manifest."""
    other = quick.model_copy(update={"output": tmp_path / "again"})
    first, second = (read_manifest(train(config, quiet())) for config in (quick, other))
    assert first.files == second.files
    assert set(first.files) == {"factors.npz", "films.json", "weights.json"}
    assert first.model_dump(exclude={"created"}) == second.model_dump(exclude={"created"})


def test_nothing_looks_at_the_test_before_it_is_evaluated(quick, monkeypatch):
    """With other films hidden in the test, the same model is chosen and fitted; only its metrics differ."""
    before = learn(quick, quiet())

    def other_films(setting: str, *, dataset: str) -> Loaded:
        data = load_movielens(setting, dataset=dataset)
        ratings = data.movielens.ratings
        hidden = set(before.task.keys)
        ids = [film.id for film in data.movielens.catalogue.films]
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
        movielens = replace(data.movielens, ratings=replace(changed, values=values))
        return replace(data, movielens=movielens)

    monkeypatch.setattr(training_module, "load_movielens", other_films)
    after = learn(quick, quiet())
    assert after.task.digest != before.task.digest
    assert after.chosen == before.chosen
    np.testing.assert_array_equal(after.predictor.model.factors, before.predictor.model.factors)
    np.testing.assert_array_equal(after.predictor.catalogue.n_ratings, before.predictor.catalogue.n_ratings)
    np.testing.assert_array_equal(after.evaluation.lists, before.evaluation.lists)
    for name, candidate in before.candidates.items():
        assert candidate.evaluation.metrics == after.candidates[name].evaluation.metrics
    assert after.evaluation.metrics["ndcg"].estimate < before.evaluation.metrics["ndcg"].estimate


def test_films_are_counted_without_the_test(trained):
    """A count with the test in it would leak, and it is what an empty history is answered by."""
    counted = trained.predictor.catalogue.n_ratings
    np.testing.assert_array_equal(counted, trained.split.before_test.item_counts())
    assert counted.sum() < len(trained.data.movielens.ratings)


def test_the_chosen_model_is_the_best_that_can_be_served_and_beats_popularity(trained):
    scores = {name: trained.candidates[name].evaluation.metrics["ndcg"].estimate for name in SERVABLE}
    assert trained.chosen == max(scores, key=scores.get)
    assert trained.evaluation.metrics["ndcg"].low > trained.baselines["popularity"].evaluation.metrics["ndcg"].high
    assert trained.chosen not in trained.baselines
    assert set(trained.baselines) | {trained.chosen} == set(trained.candidates)


def test_what_is_served_is_what_was_measured(trained, bundle):
    lists = recommend_all(Predictor.load(bundle), trained.task)
    np.testing.assert_array_equal(lists, trained.evaluation.lists)


def test_the_manifest_tells_the_whole_story(bundle, trained, train_config):
    manifest = read_manifest(bundle, project="recommender")
    assert manifest.data.source == "sample"
    assert manifest.data.sha256 == load_movielens("sample").sha256
    rows = {"train": len(trained.split.before_test), "test": len(trained.split.test), "users": len(trained.task.users)}
    assert manifest.data.rows == rows
    assert manifest.data.test_split_sha256 == split_digest(trained.task.keys)
    assert len(trained.task.keys) == len(trained.split.test)
    assert manifest.config["chosen"] == trained.chosen
    assert (manifest.config["seed"], manifest.config["k"]) == (train_config.seed, train_config.k)
    assert ModelSettings.model_validate({name: manifest.config[name] for name in ModelSettings.model_fields})
    assert manifest.metrics["ndcg_at_10"].estimate == trained.evaluation.metrics["ndcg"].estimate
    assert manifest.metrics["coverage"].low is None
    intervals = [value for name, value in manifest.metrics.items() if name != "coverage"]
    assert all(value.low <= value.estimate <= value.high for value in intervals)
    assert set(manifest.baselines) == set(trained.baselines)
    assert manifest.labels == ()
    assert (datetime.now(UTC) - manifest.created).days == 0
    assert len(manifest.git_commit) >= 7


def test_a_bundle_holds_no_history(bundle, trained):
    """Films, factors and weights; nothing has a row for every user."""
    n_users = trained.data.movielens.ratings.n_users
    with np.load(bundle / "factors.npz", allow_pickle=False) as arrays:
        assert all(n_users not in array.shape for array in arrays.values())
    films = json.loads((bundle / "films.json").read_text(encoding="utf-8"))
    assert set(films[0]) == {"id", "name", "year", "genres", "names", "n_ratings"}


def test_statistics_of_the_inputs_are_of_what_was_learned_from(trained):
    statistics = input_statistics(trained.task)
    lengths = trained.task.before.user_counts()
    assert statistics["history_length"]["q50"] == np.median(lengths)
    assert statistics["history_length"]["q100"] == lengths.max()
    assert sum(statistics["stars"].values()) == pytest.approx(1, abs=1e-3)
    assert statistics["stars"]["3.5"] == pytest.approx((trained.task.before.values == 3.5).mean(), abs=1e-4)


def test_a_model_that_reads_back_differently_is_not_left_in_silence(trained, train_config, tmp_path, monkeypatch):
    films = trained.predictor.catalogue.films
    other = replace(
        trained.predictor, weigh=replace(trained.predictor.weigh, half_life_share=0.01, half_life_films=0.1)
    )
    assert other.recommend([Seen(films[0].id), Seen(films[1].id)]).basis == "history"
    monkeypatch.setattr(training_module.Predictor, "load", lambda folder: other)
    with pytest.raises(RuntimeError, match="do not use it"):
        write(tmp_path / "bundle", trained.predictor, describe(train_config, trained))


def test_an_older_bundle_is_replaced_whole(trained, train_config, tmp_path):
    folder = tmp_path / "bundle"
    described = describe(train_config, trained)
    write(folder, trained.predictor, described)
    (folder / "left-over.npz").write_bytes(b"of another model")
    with pytest.raises(BundleError, match="left-over"):
        read_manifest(folder)
    write(folder, trained.predictor, described)
    assert "left-over.npz" not in read_manifest(folder).files


def test_a_folder_that_is_no_bundle_is_not_deleted(trained, train_config, tmp_path):
    """A mistyped --output must not cost a person their files."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "thesis.txt").write_text("three years")
    with pytest.raises(ValueError, match="documents"):
        write(folder, trained.predictor, describe(train_config, trained))
    assert (folder / "thesis.txt").read_text() == "three years"


def test_a_challenger_is_compared_with_the_champion_on_its_own_users(trained, bundle):
    """With itself there is no difference; with one whose hits were taken away there is."""
    same = comparison_with(trained)(Predictor.load(bundle))
    assert tuple(same.difference) == (0, 0, 0)
    assert same.n == len(trained.task.users)
    worse = evaluate(np.tile(np.arange(60), (len(trained.task.users), 1)), trained.task, k=10)
    compared = comparison_with(replace(trained, evaluation=worse))(Predictor.load(bundle))
    assert compared.difference.low > 0  # above 0: the champion is better
    assert compared.difference.estimate == pytest.approx(
        trained.evaluation.metrics["ndcg"].estimate - worse.metrics["ndcg"].estimate
    )


def test_films_that_a_champion_does_not_know_count_as_not_recommended(trained, train_config, tmp_path):
    """A champion with half of the films still answers, and scores less."""
    predictor = trained.predictor
    half = np.arange(len(predictor.catalogue)) % 2 == 0
    films = tuple(film for film, kept in zip(predictor.catalogue.films, half, strict=True) if kept)
    model = replace(
        predictor.model, factors=predictor.model.factors[half], recommendable=predictor.model.recommendable[half]
    )
    smaller = replace(predictor, catalogue=replace(predictor.catalogue, films=films), model=model)
    write(tmp_path / "half", smaller, describe(train_config, trained))
    assert comparison_with(trained)(Predictor.load(tmp_path / "half")).difference.high < 0


def test_films_that_only_the_champion_knows_are_misses(trained, train_config, tmp_path):
    """Twins of all films, which the champion puts beside them: half of its places are taken by films without hits."""
    predictor = trained.predictor
    films = predictor.catalogue.films
    twins = tuple(replace(film, id=film.id + 1_000_000) for film in films)
    model = predictor.model
    doubled = {name: np.concatenate([getattr(model, name)] * 2) for name in ("factors", "recommendable")}
    larger = replace(
        predictor,
        catalogue=replace(predictor.catalogue, films=(*films, *twins)),
        model=replace(model, **doubled),
    )
    write(tmp_path / "larger", larger, describe(train_config, trained))
    assert comparison_with(trained)(Predictor.load(tmp_path / "larger")).difference.high < 0


def test_who_is_left_out_is_counted(trained):
    told = who_is_left_out(trained.split, trained.task)
    assert told["ratings to learn from"] + told["ratings in the test"] == len(trained.data.movielens.ratings)
    assert told["users evaluated"] == 400
    assert told["users that were not drawn"] == 0


def test_of_many_users_some_are_drawn_and_the_others_counted(quick):
    few = learn(quick.model_copy(update={"max_users": 30}), quiet())
    told = who_is_left_out(few.split, few.task)
    assert (told["users evaluated"], told["users that were not drawn"]) == (30, 50)
    assert len(few.evaluation.lists) == 30


def test_a_large_data_set_is_served_by_als(quick, monkeypatch, capsys):
    """The rule by size: above `most_ratings` EASE is not fitted, and it is said."""
    monkeypatch.setattr(training_module, "tuned_settings", lambda: QUICK.model_copy(update={"most_ratings": 100}))
    # With this test's few factors ALS loses to popularity, which is refused elsewhere.
    monkeypatch.setattr(training_module, "choose", lambda tried: max(set(SERVABLE) & set(tried)))
    trained = learn(quick, Console(width=200))
    assert trained.chosen == "ALS, history fades"
    assert FULL not in trained.candidates
    assert "and it ends at 100; ALS serves" in capsys.readouterr().out
    assert hasattr(trained.predictor.model, "alpha")


def test_without_a_server_a_person_is_told_that_nothing_was_registered(quick, capsys):
    assert train(quick, Console(width=200)) == quick.output
    printed = capsys.readouterr().out
    assert "Not tracked and not registered" in printed
    assert "few" in printed
    assert "Chosen: " in printed
    assert str(quick.output) in printed.replace("\n", "")


@pytest.mark.real_data
@pytest.mark.usefixtures("latest_small")
def test_the_public_data_reach_the_numbers(monkeypatch, real_data_dir: Path):
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(real_data_dir))
    trained = learn(TrainConfig(data="full", tracking_uri=""), quiet())
    assert trained.chosen == FULL
    assert len(trained.task.users) == 610
    assert trained.evaluation.metrics["ndcg"].low > 0.132
    for name, expected in {"popularity": 0.087, "item neighbours": 0.116, "ALS": 0.126, "EASE": 0.129}.items():
        assert trained.baselines[name].evaluation.metrics["ndcg"].estimate == pytest.approx(expected, abs=0.003)
