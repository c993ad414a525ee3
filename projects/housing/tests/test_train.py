import json
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from housing import train as training_module
from housing.config import ModelSettings, ScaleSettings, TrainConfig, TreeSettings, tuned_settings
from housing.data.columns import columns
from housing.data.load import Sales, load_sales
from housing.data.sample import generate_sales
from housing.evaluation.candidates import BLEND, LINEAR, SERVABLE, TREES
from housing.models.storage import load
from housing.serving.schemas import EXAMPLE
from housing.train import (
    BASELINES,
    candidate_table,
    comparison_with,
    describe,
    input_statistics,
    learn,
    metric_table,
    train,
    with_weight_of,
    write,
)
from portfolio_shared.bundle import BundleError, read_manifest
from portfolio_shared.data.splits import split_digest

QUICK = ModelSettings(trees=TreeSettings(iterations=30, depth=4, learning_rate=0.1), scale=ScaleSettings(iterations=20))


@pytest.fixture
def quick(monkeypatch, tmp_path) -> TrainConfig:
    """A few seconds of training: 250 generated sales in a file, few trees."""
    monkeypatch.setattr(training_module, "tuned_settings", lambda: QUICK)
    sales = tmp_path / "sales.csv"
    generate_sales(250, seed=1).to_csv(sales, index=False)
    return TrainConfig(data=str(sales), tracking_uri="", folds=2, threads=1, output=tmp_path / "bundle")


def quiet() -> Console:
    return Console(quiet=True)


def test_the_same_data_and_seed_give_the_same_files_and_numbers(quick, tmp_path):
    """Not alike: the hash of every stored file is equal, and so is every metric in the manifest."""
    other = quick.model_copy(update={"output": tmp_path / "again"})
    first, second = (read_manifest(train(config, quiet())) for config in (quick, other))
    assert first.files == second.files
    assert set(first.files) >= {"linear.npz", "trees.npz", "encoding.npz", "model.json"}
    changing = {"created"}
    assert first.model_dump(exclude=changing) == second.model_dump(exclude=changing)


def test_nothing_looks_at_the_test_split_before_it_is_evaluated(quick, monkeypatch):
    """With other prices in the test split the same model is chosen and fitted; only its metrics differ."""
    before = learn(quick, quiet())
    test_keys = set(before.test.keys)

    def dearer(setting: str) -> Sales:
        sales = load_sales(setting)
        in_test = sales.frame["pid"].isin(test_keys)
        return replace(sales, frame=sales.frame.assign(sale_price=sales.prices * np.where(in_test, 3.0, 1.0)))

    monkeypatch.setattr(training_module, "load_sales", dearer)
    after = learn(quick, quiet())
    assert after.chosen == before.chosen
    assert after.predictor.predict(before.test.records, explain=True) == before.predictor.predict(
        before.test.records, explain=True
    )
    for name, candidate in before.candidates.items():
        np.testing.assert_array_equal(candidate.log_prices, after.candidates[name].log_prices)
    assert after.evaluation.metrics["mean_error"].estimate < before.evaluation.metrics["mean_error"].estimate - 1e5


def test_no_house_is_on_both_sides(trained):
    assert not set(trained.training.keys) & set(trained.test.keys)
    assert len(set(trained.training.keys)) == len(trained.training.keys)
    assert len(trained.training.keys) + len(trained.test.keys) == len(load_sales("sample").keys)
    sold = {tuple(row) for row in np.stack(list(map(trained.training.frame.get, ["lot_area", "gr_liv_area"])), axis=1)}
    stored = trained.predictor.comparables
    assert {tuple(row) for row in np.stack([stored.lot_area, stored.gr_liv_area], axis=1)} == sold


def test_the_chosen_model_is_the_best_that_can_be_served_and_beats_the_median(trained):
    scores = {name: trained.candidates[name].summary["rmsle_mean"] for name in SERVABLE}
    assert trained.chosen == min(scores, key=scores.get)
    rmsle = "root_mean_squared_log_error"
    assert trained.evaluation.metrics[rmsle].high < trained.baselines["median"][rmsle].low


def test_generated_data_get_fewer_trees_and_beat_the_library_that_gets_its_own(trained, bundle):
    tuned = tuned_settings()
    fewer = read_manifest(bundle).config["trees"]
    assert fewer == trained.settings.trees.model_dump()
    assert fewer["iterations"] * fewer["seeds"] < tuned.trees.iterations * tuned.trees.seeds / 5
    assert trained.settings.linear == tuned.linear
    rmsle = "root_mean_squared_log_error"
    assert trained.evaluation.metrics[rmsle].high < trained.baselines["LightGBM"][rmsle].low


def test_other_data_get_the_settings_that_were_tuned(quick):
    assert learn(quick, quiet()).settings.trees == QUICK.trees


@pytest.mark.parametrize(("best", "weight"), [(BLEND, QUICK.linear_weight), (LINEAR, 1.0), (TREES, 0.0)])
def test_what_is_chosen_is_what_is_served(best, weight):
    assert with_weight_of(best, QUICK).linear_weight == weight
    assert with_weight_of(best, QUICK).trees == QUICK.trees


def test_the_manifest_tells_the_whole_story(bundle, trained, train_config):
    manifest = read_manifest(bundle, project="housing")
    assert manifest.data.source == "sample"
    assert manifest.data.sha256 == load_sales("sample").sha256
    assert manifest.data.rows == {"train": len(trained.training.frame), "test": len(trained.test.frame)}
    assert manifest.data.test_split_sha256 == split_digest(trained.test.keys) != split_digest(trained.training.keys)
    assert manifest.config["chosen"] == trained.chosen
    assert (manifest.config["seed"], manifest.config["folds"]) == (train_config.seed, train_config.folds)
    assert ModelSettings.model_validate({name: manifest.config[name] for name in ModelSettings.model_fields})
    assert {name: value.estimate for name, value in manifest.metrics.items()} == {
        name: interval.estimate for name, interval in trained.evaluation.metrics.items()
    }
    assert all(value.low <= value.estimate <= value.high for value in manifest.metrics.values())
    assert tuple(manifest.baselines) == BASELINES
    assert set(manifest.input_schema["properties"]) == set(columns())
    assert set(manifest.input_statistics) == set(columns())
    assert (datetime.now(UTC) - manifest.created).days == 0
    assert len(manifest.git_commit) >= 7
    assert json.loads(manifest.model_dump_json())["project"] == "housing"


def test_statistics_of_the_inputs_are_of_the_training_part(trained):
    statistics = input_statistics(trained.training)
    area = trained.training.frame["gr_liv_area"]
    assert statistics["gr_liv_area"]["q0"] == area.min()
    assert statistics["gr_liv_area"]["q50"] == area.median()
    assert statistics["gr_liv_area"]["q100"] == area.max()
    shares = statistics["electrical"]
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert shares["SBrkr"] == pytest.approx((trained.training.frame["electrical"] == "SBrkr").mean(), abs=1e-4)
    unknown = trained.training.frame["mas_vnr_type"].isna().mean()
    assert unknown > 0
    assert statistics["mas_vnr_type"]["unknown"] == pytest.approx(unknown, abs=1e-4)


def test_a_model_that_reads_back_differently_is_not_left_in_silence(trained, train_config, tmp_path, monkeypatch):
    wrong = replace(trained.predictor, linear_weight=0.1)
    monkeypatch.setattr(training_module, "load", lambda folder: wrong)
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
    assert load(folder).predict([EXAMPLE]) == trained.predictor.predict([EXAMPLE])


def test_a_folder_that_is_no_bundle_is_not_deleted(trained, train_config, tmp_path):
    """A mistyped --output must not cost a person their files."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "thesis.txt").write_text("three years")
    with pytest.raises((RuntimeError, ValueError, OSError), match="documents"):
        write(folder, trained.predictor, describe(train_config, trained))
    assert (folder / "thesis.txt").read_text() == "three years"


def test_a_challenger_is_compared_with_the_champion_on_its_own_test_houses(trained, bundle):
    """With itself there is no difference; with a model that is a tenth dearer there is."""
    compare = comparison_with(trained.evaluation)
    same = compare(load(bundle))
    assert tuple(same.difference) == pytest.approx((0, 0, 0), abs=1e-12)
    assert same.n == len(trained.test.frame)
    answers = trained.evaluation.answers
    worse = replace(trained.evaluation, answers=replace(answers, predicted=answers.predicted * 1.5))
    assert comparison_with(worse)(load(bundle)).difference.low > 0.1  # above 0: the champion is better


def test_the_tables_name_every_candidate_and_metric(trained):
    wide = Console(width=240, record=True, quiet=False, file=StringIO())
    wide.print(candidate_table(trained.candidates))
    wide.print(metric_table(trained.evaluation, trained.baselines))
    text = wide.export_text()
    assert all(name in text for name in (*trained.candidates, *BASELINES))
    best = min(candidate.summary["rmsle_mean"] for candidate in trained.candidates.values())
    rows = [line for line in text.splitlines() if f"{best:.4f}" in line]
    assert rows[0] == text.splitlines()[4]  # the best stands first


def test_without_a_server_a_person_is_told_that_nothing_was_registered(quick, capsys):
    train(quick, Console(width=200))
    printed = capsys.readouterr().out
    assert "Not tracked and not registered" in printed
    assert "sales.csv" in printed
    assert "Chosen: " in printed
    assert str(quick.output) in printed.replace("\n", "")
