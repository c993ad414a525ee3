"""Training from sums: the same model, numbers, bundle, gate and service as with all ratings in memory."""

import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from rich.console import Console

from portfolio_shared.bundle import read_manifest
from portfolio_shared.operations.lessons import Lessons
from portfolio_shared.operations.watch import read_reference
from portfolio_shared.results import Candidate
from portfolio_shared.tracking.registry import decide
from portfolio_shared.training import write
from recommender.config import ServeSettings, TrainConfig
from recommender.data import drawn
from recommender.data.load import Dataset, split
from recommender.evaluation import at_scale
from recommender.evaluation.evaluate import evaluate, evaluate_bundle
from recommender.models.fit import FULL, POPULARITY, fit, fit_full
from recommender.models.predictor import Predictor
from recommender.serving.app import create_app
from recommender.train import PROJECT, Trained, learn

QUIET = Console(quiet=True)


def config_of(data: Path, output: Path, **changed: object) -> TrainConfig:
    settings = {"data": str(data), "output": output, "tracking_uri": "", "grid_seconds": 0.0, "engine": "duckdb"}
    return TrainConfig(**settings | changed)


@pytest.fixture(scope="module")
def config(stored: Path, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """With the settings that the other training chose: how many it tried depends on how busy the machine is."""
    place = tmp_path_factory.mktemp("at-scale")
    settings = {"time": {"settings": trained.settings.model_dump(mode="json")}}
    (place / "tuned.json").write_text(json.dumps(settings), encoding="utf-8")
    return config_of(stored, place / "bundle", tuned=place / "tuned.json")


@pytest.fixture(scope="module")
def of_sums(config: TrainConfig) -> Trained:
    return learn(config, QUIET)


@pytest.fixture(scope="module")
def bundle_of_sums(config: TrainConfig, of_sums: Trained) -> Path:
    write(PROJECT, config, of_sums, QUIET)
    return config.output


def assert_same(ours: Trained, theirs: Trained) -> None:
    """The settings, what the test says, and the scores of everybody's history."""
    assert ours.chosen == theirs.chosen == FULL
    assert ours.settings == theirs.settings
    assert ours.evaluation.task.digest == theirs.evaluation.task.digest
    assert ours.predictor.catalogue == theirs.predictor.catalogue
    task, models = ours.evaluation.task, [each.predictor.model for each in (ours, theirs)]
    for user in task.users[::5].tolist():
        items, stars = task.history(user)
        first, second = (model.scores(items, ours.predictor.weigh(stars)) for model in models)
        np.testing.assert_allclose(first, second, atol=1e-5)
    assert (np.abs(ours.evaluation.lists - theirs.evaluation.lists) > 0).mean() < 0.001  # ties may change places
    for name, metric in ours.evaluation.metrics.items():
        assert metric.estimate == pytest.approx(theirs.evaluation.metrics[name].estimate, abs=1e-3), name
    assert ours.baselines[POPULARITY] == theirs.baselines[POPULARITY]
    for name in ("history", "popularity"):
        chances = [getattr(each.predictor.chance, name) for each in (ours, theirs)]
        np.testing.assert_allclose(*chances, atol=1e-3)


@pytest.mark.long
def test_it_is_the_training_in_memory(of_sums: Trained, trained: Trained) -> None:
    assert_same(of_sums, trained)
    assert set(of_sums.candidates) == {FULL, POPULARITY}
    (tried,) = of_sums.details["grid"]["trials"]
    ndcg = {(trial["rank"], trial["penalty"]): trial["ndcg"] for trial in trained.details["grid"]["trials"]}
    assert tried["ndcg"] == pytest.approx(ndcg[tried["rank"], tried["penalty"]], abs=1e-3)


@pytest.mark.long
@pytest.mark.real_data
def test_it_is_the_training_in_memory_on_latest_small(
    latest_small: Dataset, store: Callable[[Path], Path], tmp_path: Path
) -> None:
    stored = store(latest_small.source.path)
    ours, parts = learn(config_of(stored, tmp_path), QUIET), split(latest_small)
    of_train = fit_full(parts.train.matrix(), parts.catalogue, ours.settings.ease)
    predictor = fit(parts, ours.settings, Candidate(FULL, {}, of_train))
    assert_same(ours, replace(ours, predictor=predictor, evaluation=evaluate(predictor, parts)))


@pytest.mark.long
def test_the_bundle_tells_the_same_and_that_sums_made_it(bundle_of_sums: Path, bundle: Path) -> None:
    ours, theirs = read_manifest(bundle_of_sums), read_manifest(bundle)
    assert (ours.data.sha256, ours.data.rows, ours.data.test_split_sha256) == (
        theirs.data.sha256,
        theirs.data.rows,
        theirs.data.test_split_sha256,
    )
    assert (ours.config["engine"], ours.config["people"]) == ("duckdb", 300)
    assert ours.files.keys() == theirs.files.keys()
    columns, expected = read_reference(bundle_of_sums), read_reference(bundle)
    for name, values in expected.items():  # of models that people were taken back from, and of models refitted
        np.testing.assert_allclose(np.sort(columns[name]), np.sort(values), atol=0.11, err_msg=name)
        assert np.mean(np.abs(np.sort(columns[name]) - np.sort(values)) > 1e-9) < 0.01, name


@pytest.mark.long
def test_its_bundle_is_served_and_evaluated(
    bundle_of_sums: Path,
    of_sums: Trained,
    config: TrainConfig,
    serving: Callable[[FastAPI], AbstractContextManager[httpx.Client]],
) -> None:
    popular = PROJECT.example(of_sums)[0]
    body = {"history": [{"film_id": seen.film_id} for seen in popular]}
    with serving(create_app(ServeSettings(bundle=bundle_of_sums))) as client:
        answer = client.post("/v1/recommendations", json=body).raise_for_status().json()
    offline = Predictor.load(bundle_of_sums).recommend(popular)
    assert [each["film"]["film_id"] for each in answer["recommendations"]] == [
        each.film.id for each in offline.recommendations
    ]
    said = io.StringIO()
    evaluate_bundle(bundle_of_sums, config.data, Console(file=said, width=200))
    assert "not the ratings" not in said.getvalue()
    assert f"{of_sums.evaluation.metric('ndcg').estimate:.3f}" in said.getvalue()


def test_the_gate_promotes_it_over_a_poor_model_and_refuses_a_poor_one(of_sums: Trained, trained: Trained) -> None:
    model = of_sums.predictor.model
    noise = np.random.default_rng(0).normal(size=model.factors.shape).astype(np.float32)
    noise /= 2 * np.linalg.norm(noise, axis=1, keepdims=True)
    poor = replace(of_sums.predictor, model=replace(model, factors=noise))
    assert decide(PROJECT.compare(of_sums, poor)).outcome == "promoted"
    assert abs(PROJECT.compare(of_sums, trained.predictor).difference.estimate) < 1e-3
    people = drawn.draw(str(of_sums.data.source.path), max_users=300, seed=0)
    refused = replace(of_sums, evaluation=at_scale.evaluate_at_scale(poor, people, seed=0, k=10))
    assert decide(PROJECT.compare(refused, of_sums.predictor)).outcome == "refused"


@pytest.mark.long
def test_of_many_people_some_are_looked_at_and_all_are_learned_from(
    config: TrainConfig, of_sums: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn, "REFERENCE_ROWS", 30)
    few = learn(config.model_copy(update={"max_users": 40}), QUIET)
    assert len(few.evaluation.task.users) == 40
    np.testing.assert_array_equal(few.predictor.catalogue.n_ratings, of_sums.predictor.catalogue.n_ratings)
    assert few.data.sha256 == of_sums.data.sha256
    settings = of_sums.settings.ease
    again = at_scale.fit_gram(few.split.gram, few.predictor.catalogue, settings)
    np.testing.assert_allclose(np.abs(again.factors), np.abs(of_sums.predictor.model.factors), atol=1e-6)
    manifest = PROJECT.describe(config, few)
    assert manifest.data.rows["train"] == of_sums.predictor.catalogue.n_ratings.sum() > len(few.split.before_test)


def test_feedback_is_not_learned_from_beside_sums(config: TrainConfig) -> None:
    with pytest.raises(ValueError, match="retrain without --engine"):
        learn(config, QUIET, lessons=Lessons((), (), {}))


def test_without_spark_here_its_command_runs_the_job(
    config: TrainConfig, of_sums: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(at_scale, "run_on_spark", lambda *words, **options: asked.append((*words, options)))
    monkeypatch.setattr(at_scale, "has_spark", lambda: False)
    on_spark = config.model_copy(update={"engine": "spark", "spark_command": "submit", "tuned": tmp_path / "tuned"})
    folder = Path(config.data)
    at_scale.sum_grams(folder, of_sums.settings, on_spark)
    assert asked == []  # all is kept
    other = of_sums.settings.model_copy(update={"ease": of_sums.settings.ease.model_copy(update={"min_raters": 9})})
    at_scale.sum_grams(folder, other, on_spark)
    words = ("recommender.data.gram_job", str(folder), "--engine", "spark", "--memory-limit", "1GB")
    assert asked == [(*words, "--tuned", str(tmp_path / "tuned"), {"command": "submit"})]
