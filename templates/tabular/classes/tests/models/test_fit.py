"""What is exported predicts what the libraries do, and probabilities and sets hold what they promise."""

import json

import numpy as np
import pytest
from catboost import CatBoostClassifier
from sklearn.linear_model import LogisticRegression

from new_project.config import COVERAGE, ModelSettings
from new_project.data.columns import schema
from new_project.data.load import load, split
from new_project.evaluation.candidates import choose, compare
from new_project.evaluation.evaluate import sets_of
from new_project.models.features import fit_encoding
from new_project.models.fit import fit
from new_project.models.libraries import fit_linear
from new_project.models.members import from_catboost
from new_project.models.predictor import Predictor, as_logits
from portfolio_shared.evaluation.classification import softmax

SETTINGS = ModelSettings(iterations=40, learning_rate=0.2, depth=3)


@pytest.fixture(scope="module", params=[2, 3])
def data(request):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4))
    score = x @ [2, -1, 0, 0] + rng.normal(size=400)
    return x, np.digitize(score, np.quantile(score, np.arange(1, request.param) / request.param))


def test_trees_as_arrays_predict_what_catboost_does(data, tmp_path):
    x, y = data
    model = CatBoostClassifier(iterations=30, depth=4, random_seed=0, verbose=False, allow_writing_files=False).fit(
        x, y
    )
    model.save_model(str(tmp_path / "trees.json"), format="json")
    trees = from_catboost(json.loads((tmp_path / "trees.json").read_text(encoding="utf-8")))
    assert softmax(as_logits(trees.predict(x))) == pytest.approx(model.predict_proba(x))


def test_a_logistic_regression_predicts_what_the_library_does(data):
    x, y = data
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    library = LogisticRegression(C=1 / SETTINGS.ridge, max_iter=1000).fit(scaled, y)
    found = fit_linear(LogisticRegression(C=1 / SETTINGS.ridge, max_iter=1000), x, y)
    assert softmax(as_logits(found.predict(x))) == pytest.approx(library.predict_proba(scaled))


@pytest.fixture(scope="module")
def parts():
    return split(load("sample"))


@pytest.fixture(scope="module")
def candidates(parts):
    return compare(parts, SETTINGS)


def test_what_is_saved_predicts_the_same(parts, candidates, tmp_path):
    predictor = fit(parts, SETTINGS, candidates[choose(candidates)])
    predictor.save(tmp_path)
    assert Predictor.load(tmp_path).predict(parts.test.records[:5]) == predictor.predict(parts.test.records[:5])


def test_the_sets_hold_their_share_of_the_rows_they_were_calibrated_on(parts, candidates):
    truth = parts.train.target[parts.held_out].astype(np.int64)
    for candidate in candidates.values():
        if candidate.servable:
            predictor = fit(parts, SETTINGS, candidate)
            sets = sets_of(predictor, softmax(candidate.model.out_of_fold[parts.held_out] / predictor.temperature))
            held = sets[np.arange(len(truth)), truth]
            assert min(held[truth == k].mean() for k in range(sets.shape[1])) >= COVERAGE


def test_a_baseline_is_not_served(parts, candidates):
    with pytest.raises(ValueError, match="the baseline 'class frequencies'"):
        fit(parts, SETTINGS, candidates["class frequencies"])


def test_what_lies_outside_of_the_data_is_said(parts):
    encoding = fit_encoding(parts.train.records)
    strange = {
        column.name: 1e12 if column.kind == "number" else "never seen"
        for column in schema().columns
        if column.kind != "date"
    }
    assert len(encoding.warnings(strange)) == len(strange)
    assert encoding.warnings(parts.train.records[0]) == []
