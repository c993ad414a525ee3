import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import compress

import numpy as np
import pytest
from rich.console import Console

from housing import train as training_module
from housing.config import ModelSettings, ScaleSettings, TrainConfig, TreeSettings, tuned_settings
from housing.data.columns import columns
from housing.data.load import Dataset, load, split
from housing.evaluation.candidates import BASELINES, choose
from housing.evaluation.evaluate import compare_with_champion, evaluate_bundle, measure
from housing.models.feedback import from_feedback
from housing.models.predictor import Predictor
from housing.serving.observe import WATCH
from housing.train import PROJECT, Trained, describe, learn, newest, train
from portfolio_shared.bundle import read_manifest
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.operations.lessons import Lessons

QUICK = ModelSettings(trees=TreeSettings(iterations=15, depth=3, learning_rate=0.2), scale=ScaleSettings(iterations=20))


@pytest.fixture
def quick(tmp_path, some_rows) -> TrainConfig:
    return quick_config(tmp_path, some_rows)


def quick_config(tmp_path, some_rows) -> TrainConfig:
    """A few seconds of training: 250 sales in a file, few trees, as if a search had found them."""
    sales, tuned = tmp_path / "sales.csv", tmp_path / "tuned.json"
    tuned.write_text(json.dumps({"settings": QUICK.model_dump(mode="json")}), encoding="utf-8")
    some_rows(250).to_csv(sales, index=False)
    return TrainConfig(data=str(sales), tuned=tuned, tracking_uri="", folds=2, threads=1, output=tmp_path / "bundle")


def quiet() -> Console:
    return Console(quiet=True)


@pytest.mark.long
def test_the_same_data_and_seed_give_the_same_files_and_numbers(quick, tmp_path):
    """Not alike: the hash of every stored file is equal, and so is every metric in the manifest."""
    other = quick.model_copy(update={"output": tmp_path / "again"})
    first, second = (read_manifest(train(config, quiet())) for config in (quick, other))
    assert first.files == second.files
    assert set(first.files) >= {"linear.npz", "trees.npz", "encoding.npz", "model.json"}
    assert first.model_dump(exclude={"created"}) == second.model_dump(exclude={"created"})


@pytest.mark.long
def test_nothing_looks_at_the_test_split_before_it_is_evaluated(quick, monkeypatch):
    """With other prices in the test split the same model is chosen and fitted; only its metrics differ."""
    before = learn(quick, quiet())
    test, test_keys = before.split.test.records, set(before.split.test.keys)

    def tripled(setting: str) -> Dataset:
        data = load(setting)
        factor = np.where(data.sales.frame["pid"].isin(test_keys), 3.0, 1.0)
        frame = data.sales.frame.assign(sale_price=data.sales.prices * factor)
        return replace(data, sales=replace(data.sales, frame=frame))

    monkeypatch.setattr(training_module, "load", tripled)
    after = learn(quick, quiet())
    assert after.chosen == before.chosen
    assert after.predictor.predict(test, explain=True) == before.predictor.predict(test, explain=True)
    for name, candidate in before.candidates.items():
        np.testing.assert_array_equal(candidate.model.log_prices, after.candidates[name].model.log_prices)
    assert after.evaluation.metrics["mean_error"].estimate < before.evaluation.metrics["mean_error"].estimate - 1e5


def test_no_house_is_on_both_sides(trained):
    train, test = trained.split.train, trained.split.test
    assert not set(train.keys) & set(test.keys)
    assert len(set(train.keys)) + len(test.keys) == len(trained.data.sales.keys)
    stored = trained.predictor.comparables
    learned = set(zip(train.frame["lot_area"], train.frame["gr_liv_area"], strict=True))
    assert set(zip(stored.lot_area, stored.gr_liv_area, strict=True)) == learned


def test_the_tuned_settings_are_served_and_beat_a_library_at_its_defaults_on_held_out_folds(trained):
    tuned = tuned_settings()
    assert (trained.settings.trees, trained.settings.linear) == (tuned.trees, tuned.linear)
    assert trained.chosen == choose(trained.candidates)
    served, library = (trained.candidates[name].metrics["rmsle_mean"] for name in (trained.chosen, "LightGBM"))
    assert served < 0.9 * library


def test_the_manifest_holds_data_settings_and_numbers(bundle, trained, train_config):
    manifest = read_manifest(bundle, project="housing")
    assert (manifest.data.source, manifest.data.name) == ("path", "733 sales of sales.csv")
    assert manifest.data.sha256 == trained.data.sha256
    assert manifest.data.rows == {"train": len(trained.split.train.frame), "test": len(trained.split.test.frame)}
    test, learned_from = split_digest(trained.split.test.keys), split_digest(trained.split.train.keys)
    assert manifest.data.test_split_sha256 == test != learned_from
    assert manifest.config["chosen"] == trained.chosen
    assert (manifest.config["seed"], manifest.config["folds"]) == (train_config.seed, train_config.folds)
    assert ModelSettings.model_validate({name: manifest.config[name] for name in ModelSettings.model_fields})
    assert {name: value.estimate for name, value in manifest.metrics.items()} == {
        name: interval.estimate for name, interval in (trained.evaluation.metrics | trained.evaluation.sparse).items()
    }
    assert {measure.metric for measure in WATCH.measures.values()} - {None} <= set(manifest.metrics)
    assert all(value.low <= value.estimate <= value.high for value in manifest.metrics.values())
    assert tuple(manifest.baselines) == BASELINES
    assert set(manifest.input_schema["properties"]) == set(columns())
    assert (datetime.now(UTC) - manifest.created).days == 0
    assert len(manifest.git_commit) >= 7


@pytest.fixture(scope="module")
def refitted(tmp_path_factory, some_rows) -> tuple[TrainConfig, Trained, Trained]:
    """The settings with --refit, what they leave without it, and what they leave with it."""
    config = quick_config(tmp_path_factory.mktemp("refit"), some_rows).model_copy(update={"refit": True})
    return config, learn(config.model_copy(update={"refit": False}), quiet()), learn(config, quiet())


@pytest.mark.long
def test_a_refitted_model_has_learned_from_all_sales_and_keeps_the_figures_of_the_held_out_test(refitted):
    _, before, after = refitted
    assert len(after.predictor.comparables.price) == len(after.data.sales.frame)
    assert len(after.predictor.intervals.calibration.scores) == len(after.data.sales.frame)
    assert after.evaluation.metrics == before.evaluation.metrics
    np.testing.assert_array_equal(after.evaluation.predicted, before.evaluation.predicted)
    test = after.split.test
    served = after.predictor.price_and_interval(test.records)[0]
    assert np.abs(np.log(served / test.prices)).mean() < np.abs(np.log(after.evaluation.predicted / test.prices)).mean()


@pytest.mark.long
def test_a_manifest_says_that_the_model_was_refitted(refitted):
    config, before, after = refitted
    plain, again = describe(config.model_copy(update={"refit": False}), before), describe(config, after)
    assert (plain.data.refitted, again.data.refitted) == (plain.config["refit"], again.config["refit"]) == (False, True)
    assert again.metrics == plain.metrics
    assert again.data.rows == plain.data.rows


@pytest.mark.long
def test_the_gate_compares_a_refitted_model_as_it_was_when_it_had_not_seen_the_test_houses(refitted, tmp_path):
    """Else no challenger could ever beat it, and none that was refitted would be told from a better one."""
    _, before, after = refitted
    after.predictor.save(tmp_path)
    champion = Predictor.load(tmp_path)
    for challenger in (before, after):
        assert compare_with_champion(challenger.evaluation, champion).difference == (0, 0, 0)
    contaminated = compare_with_champion(before.evaluation, replace(champion, held_out=None))
    assert contaminated.difference.estimate > 0.005  # the trap: it looks better by this much


@pytest.mark.long
def test_a_refitted_bundle_is_evaluated_by_its_stored_figures(refitted, capsys):
    config, before, _ = refitted
    evaluate_bundle(train(config, quiet()), config.data, Console(width=200))
    printed = capsys.readouterr().out
    assert "Refitted on all rows" in printed
    error = with_interval(before.evaluation.metrics["root_mean_squared_log_error"])
    assert f"RMSLE: {error}" in printed


@pytest.mark.long
@pytest.mark.parametrize("known", [True, False], ids=["a house of the test among them", "other houses alone"])
def test_a_refitted_bundle_is_measured_on_other_sales(refitted, some_rows, tmp_path, capsys, known):
    """What it said of its test houses before it learned from them stands for what it says now."""
    config, _, after = refitted
    bundle = train(config, quiet())
    rows = some_rows(600)
    seen, stored = rows["PID"].isin(after.data.sales.keys), after.predictor.held_out
    rows = rows[~seen | (known & rows["PID"].isin(stored.keys[:3]))]
    data = write_rows(rows, tmp_path / "other.csv")
    capsys.readouterr()
    evaluate_bundle(bundle, data, Console(width=200))
    printed = capsys.readouterr().out
    sales = split(load(data)).test
    before = dict(zip(stored.keys.tolist(), stored.predicted.tolist(), strict=True))
    assert any(key in before for key in sales.keys) == known
    predicted, low, high = after.predictor.price_and_interval(sales.records)
    predicted = np.array([before.get(key, now) for key, now in zip(sales.keys, predicted, strict=True)])
    expected = measure(sales, predicted, low, high)
    assert f"RMSLE: {with_interval(expected['root_mean_squared_log_error'])}" in printed
    assert ("coverage of the 90 % intervals: " in printed) == (not known)
    assert "These are not the houses that the bundle was tested on" in printed


def write_rows(rows, path) -> str:
    rows.to_csv(path, index=False)
    return str(path)


@pytest.mark.long
def test_candidates_and_widths_are_logged_while_it_runs(quick):
    events = []

    class Log:
        def log_metrics(self, metrics, *, step=0) -> None:
            events.append(sorted(metrics))

        def child(self, name, params, metrics) -> None:
            events.append(name)
            assert params == {"candidate": name}
            assert metrics["rmsle_mean"] > 0

    trained = learn(quick, quiet(), Log())
    assert events[0] == "median"
    assert set(events[:-1]) == set(trained.candidates)
    assert events[-1] == ["width_over_constant_dollars", "width_over_constant_relative", "width_over_no_model"]
    assert trained.details["width_ratio"]["no_model"] < 1
    assert trained.settings.trees == QUICK.trees


@pytest.mark.long
def test_what_a_person_reads(quick, capsys):
    train(quick, Console(width=240))
    printed = capsys.readouterr().out
    ridge, figure = "Huber ridge (linear member)", "RMSLE, houses up to 4,000 sq ft"
    for words in ("sales.csv", "Chosen: ", ridge, figure, *BASELINES):
        assert words in printed


BOOM = "NAmes"


@pytest.fixture(scope="module")
def taught(tmp_path_factory, some_rows, lesson) -> tuple[TrainConfig, Trained, Trained, Lessons]:
    """The settings with --refit, a champion, what is learned beside feedback on a boom, and the feedback."""
    place = tmp_path_factory.mktemp("feedback")
    config = quick_config(place, lambda _: some_rows(900)).model_copy(update={"folds": 3})
    able = QUICK.model_copy(update={"trees": QUICK.trees.model_copy(update={"iterations": 100})})
    config.tuned.write_text(json.dumps({"settings": able.model_dump(mode="json")}), encoding="utf-8")
    rows = some_rows(1500)
    others = load(write_rows(rows[~rows["PID"].isin(some_rows(900)["PID"])], place / "others.csv")).sales
    champion = learn(config, quiet())
    sold = [*zip(champion.split.test.records[:90], champion.split.test.prices[:90], strict=True)]
    sold += [*zip(others.records[:210], others.prices[:210], strict=True)]
    said = [
        lesson(house, price * (1.4 if house["neighborhood"] == BOOM else 1.0), client=f"client {i}")
        for i, (house, price) in enumerate(sold)
    ]
    back = np.arange(len(said)) % 10 < 3
    parts = tuple(tuple(compress(said, part)) for part in (~back, back))
    lessons = Lessons(*parts, counts={"learned": len(parts[0]), "held back": len(parts[1])})
    refitting = config.model_copy(update={"refit": True})
    return refitting, champion, learn(refitting, quiet(), lessons=lessons), lessons


@pytest.mark.long
def test_a_boom_is_learned_where_it_is_and_the_gate_sees_it(taught, lesson):
    config, champion, after, lessons = taught
    assert list(after.predictor.moved) == [BOOM]
    assert after.predictor.moved[BOOM] == pytest.approx(np.log(1.4), abs=0.08)
    test = champion.split.test
    ratio = np.log(after.predictor.price_and_interval(test.records)[0] / champion.evaluation.predicted)
    where = np.array([record["neighborhood"] == BOOM for record in test.records])
    assert ratio[where].mean() == pytest.approx(np.log(1.4), abs=0.08)
    assert abs(ratio[~where].mean()) < 0.03

    others = load(config.data.replace("sales.csv", "others.csv")).sales
    sold = enumerate(zip(others.records[210:], others.prices[210:], strict=True))
    risen = [lesson(house, 1.4 * price, client=str(i)) for i, (house, price) in sold if house["neighborhood"] == BOOM]
    assert PROJECT.recent(after, champion.predictor, risen).difference.high < 0
    known = [lesson(champion.data.sales.records[0], 2e5, client=f"client {i}") for i in range(60)]
    for too_little in (lessons.held_back[:10], (), known):
        assert PROJECT.recent(after, champion.predictor, too_little) is None

    dear = replace(
        after.evaluation, predicted=after.evaluation.predicted * np.where(where, np.exp(after.predictor.moved[BOOM]), 1)
    )
    fair, unfair = (compare_with_champion(each, champion.predictor).difference for each in (after.evaluation, dear))
    assert fair.estimate < 0.3 * unfair.estimate


@pytest.mark.long
def test_a_manifest_says_what_was_learned_from_feedback(taught):
    config, champion, after, lessons = taught
    manifest, before = describe(config, after), describe(config, champion)
    houses = len(from_feedback(after.split.train).records)
    assert manifest.data.rows == before.data.rows | {"feedback": houses}
    assert 0 < houses < 182  # those of the test split are not learned
    assert manifest.config["price_levels"] == {BOOM: pytest.approx(1.4, abs=0.1)}
    assert "price_levels" not in before.config
    assert manifest.data.sha256 == before.data.sha256
    assert after.lessons.counts == {"learned": 182, "held back": 90, "more than 20% of the rows": 28}
    assert after.lessons.learned == lessons.learned[28:]
    beside_more = newest(lessons, 10_000)
    assert beside_more.counts == {"learned": 200, "held back": 90, "older than the newest 200": 10}
    assert beside_more.learned == lessons.learned[10:]


@pytest.mark.long
def test_a_model_that_is_refitted_after_feedback_keeps_it_and_shows_none_of_it(taught):
    config, champion, after, _ = taught
    sales = champion.data.sales
    assert after.predictor.comparables.price.tolist() == sales.prices.tolist()
    assert len(PROJECT.reference(config, after)["gr_liv_area"]) == len(sales.records)
    n = len(sales.records) + len(from_feedback(after.split.train).records)
    assert len(after.predictor.intervals.calibration.scores) == n
    assert compare_with_champion(after.evaluation, after.predictor).difference == (0, 0, 0)
