"""What is exported predicts what the library does, and intervals hold what they promise."""

import json

import numpy as np
import pytest
from catboost import CatBoostRegressor
from sklearn.linear_model import Ridge

from new_project.config import COVERAGE, ModelSettings
from new_project.data.columns import schema
from new_project.data.load import load, split
from new_project.evaluation.candidates import choose, compare
from new_project.models.features import fit_encoding
from new_project.models.fit import ROWS_A_BAND, edges_of, fit
from new_project.models.libraries import fit_linear, fit_trees
from new_project.models.members import from_catboost
from new_project.models.predictor import Predictor

SETTINGS = ModelSettings(iterations=40, learning_rate=0.2, depth=3)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4))
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, np.nan_to_num(x[:, 0]) ** 2 + 3 * np.nan_to_num(x[:, 1]) + rng.normal(size=400)


def test_trees_as_arrays_predict_what_catboost_does(data, tmp_path):
    x, y = data
    model = CatBoostRegressor(iterations=30, depth=4, random_seed=0, verbose=False, allow_writing_files=False).fit(x, y)
    model.save_model(str(tmp_path / "trees.json"), format="json")
    trees = from_catboost(json.loads((tmp_path / "trees.json").read_text(encoding="utf-8")))
    assert trees.predict(x)[:, 0] == pytest.approx(model.predict(x))
    assert trees.predict(x[:0]).shape == (0, 1)


def test_trees_that_learn_nothing_are_few():
    rng = np.random.default_rng(0)
    settings = ModelSettings(iterations=400)
    assert (
        len(fit_trees(CatBoostRegressor, rng.normal(size=(300, 3)), rng.normal(size=300), settings, seed=0).leaf) < 100
    )


def test_a_ridge_without_a_penalty_finds_the_weights(data):
    x = np.nan_to_num(data[0])
    ridge = fit_linear(Ridge(alpha=1e-9), x, 2 * x[:, 0] - x[:, 3] + 5)
    assert ridge.coefficients[:, 0] == pytest.approx([2, 0, 0, -1], abs=1e-6)
    assert ridge.intercept == pytest.approx([5])


@pytest.fixture(scope="module")
def parts():
    return split(load("sample"))


def test_what_is_saved_predicts_the_same(parts, tmp_path):
    candidates = compare(parts, SETTINGS)
    predictor = fit(parts, SETTINGS, candidates[choose(candidates)])
    predictor.save(tmp_path)
    assert Predictor.load(tmp_path).predict(parts.test.records[:5]) == predictor.predict(parts.test.records[:5])


def test_the_intervals_hold_their_share_of_the_rows_they_were_calibrated_on(parts):
    candidates = compare(parts, SETTINGS)
    for candidate in candidates.values():
        if candidate.servable:
            predictor, how = fit(parts, SETTINGS, candidate), candidate.model
            said, truth = how.out_of_fold[parts.held_out], parts.train.target[parts.held_out]
            reach = predictor.reach[np.searchsorted(predictor.edges, said, side="right")]
            found, truth = (np.log(said), np.log(truth)) if how.log else (said, truth)
            assert np.mean(np.abs(truth - found) <= reach) >= COVERAGE


@pytest.mark.parametrize(
    ("predicted", "n_edges"),
    [(np.arange(500.0), 4), (np.zeros(500), 0), (np.repeat([1.0, 2.0, 3.0], [5, 490, 5]), 0), (np.arange(60.0), 0)],
)
def test_every_band_has_rows_enough_for_an_interval(predicted, n_edges):
    edges = edges_of(predicted)
    assert len(edges) == n_edges
    assert min(np.bincount(np.searchsorted(edges, predicted, side="right"))) >= ROWS_A_BAND


def test_no_line_is_drawn_on_to_where_no_row_was(parts):
    ranges = fit_encoding(parts.train.records).ranges
    far = {column.name: 1e300 for column in schema().columns if column.kind == "number"}
    border = {name: ranges[name][2] for name in far}
    candidates = compare(parts, SETTINGS)
    predictor = fit(parts, SETTINGS, candidates["ridge"])
    assert predictor.predict([far])[0].value == predictor.predict([border])[0].value


def test_a_baseline_is_not_served(parts):
    with pytest.raises(ValueError, match="the baseline 'median'"):
        fit(parts, SETTINGS, compare(parts, SETTINGS)["median"])


def test_what_lies_outside_of_the_data_is_said(parts):
    encoding = fit_encoding(parts.train.records)
    strange = {
        column.name: 1e12 if column.kind == "number" else "never seen"
        for column in schema().columns
        if column.kind != "date"
    }
    assert len(encoding.warnings(strange)) == len(strange)
    assert encoding.warnings(parts.train.records[0]) == []
    assert encoding.filled({}) == [column.name for column in schema().columns]
