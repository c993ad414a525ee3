import json

import numpy as np
import pytest
from catboost import CatBoostRegressor, Pool

from housing.models.trees import from_catboost, mean_of

N_FEATURES = 12


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, N_FEATURES))
    return x, 2 * x[:, 0] + x[:, 1] * x[:, 2] + 0.1 * rng.normal(size=600)


def fitted(data, *, iterations: int, depth: int, seed: int) -> CatBoostRegressor:
    options = {"verbose": 0, "thread_count": 1, "allow_writing_files": False, "random_seed": seed}
    return CatBoostRegressor(iterations=iterations, depth=depth, **options).fit(*data)


def as_json(model: CatBoostRegressor, path):
    model.save_model(str(path), format="json")
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def library(data):
    return fitted(data, iterations=60, depth=4, seed=1)


@pytest.fixture(scope="module")
def exported(library, tmp_path_factory):
    return as_json(library, tmp_path_factory.mktemp("model") / "model.json")


def test_predictions_are_those_of_the_library(data, library, exported):
    x, _ = data
    trees = from_catboost(exported, np.arange(N_FEATURES, dtype=np.int32))
    np.testing.assert_allclose(trees.predict(x), library.predict(x), rtol=0, atol=1e-12)


def test_shapley_values_are_those_of_the_library(data, library, exported):
    x, _ = data
    trees = from_catboost(exported, np.arange(N_FEATURES, dtype=np.int32))
    theirs = library.get_feature_importance(Pool(x), type="ShapValues")
    np.testing.assert_allclose(trees.contributions(x, N_FEATURES), theirs[:, :-1], atol=1e-6)
    assert trees.expected == pytest.approx(theirs[0, -1])


def test_groups_share_out_the_whole_prediction(data, exported):
    x, _ = data
    trees = from_catboost(exported, np.arange(N_FEATURES, dtype=np.int32) // 4)
    shares = trees.contributions(x, 3)
    assert shares.shape == (600, 3)
    np.testing.assert_allclose(shares.sum(axis=1) + trees.expected, trees.predict(x), atol=1e-6)
    assert np.abs(shares[:, 1:]).max() < 0.2 * np.abs(shares[:, 0]).max()  # features 0 to 3 carry the signal


def test_an_interaction_is_split_evenly():
    """One tree, y = 1 where both x0 and x1 are above 0, four equal cells: worked out by hand."""
    model = {
        "scale_and_bias": [1, [0.0]],
        "oblivious_trees": [
            {
                "leaf_values": [0.0, 0.0, 0.0, 1.0],
                "leaf_weights": [5, 5, 5, 5],
                "splits": [
                    {"split_type": "FloatFeature", "float_feature_index": index, "border": 0.0} for index in (0, 1)
                ],
            }
        ],
    }
    trees = from_catboost(model, np.array([0, 1], dtype=np.int32))
    both, first_only = np.array([[1.0, 1.0], [1.0, -1.0]])
    assert trees.expected == pytest.approx(0.25)
    # Known x0 > 0: 1/2. So x0 adds (1/4 + 1/2) / 2 and so does x1, together 3/4.
    np.testing.assert_allclose(trees.contributions(both[None], 2), [[0.375, 0.375]])
    # x0 > 0 and x1 <= 0: x0 adds (1/4 + 0) / 2, x1 adds (-1/4 - 1/2) / 2.
    np.testing.assert_allclose(trees.contributions(first_only[None], 2), [[0.125, -0.375]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"oblivious_trees": [{"splits": [{"split_type": "OnlineCtr"}]}]}, "encode categories as numbers"),
        ({"scale_and_bias": [1, [0.0, 0.0]]}, "expected one output with scale 1, found 2 outputs and scale 1"),
    ],
)
def test_other_models_are_refused(exported, changes, message):
    with pytest.raises(ValueError, match=message):
        from_catboost({**exported, **changes}, np.zeros(N_FEATURES, dtype=np.int32))
    with pytest.raises(ValueError, match="expected symmetric trees"):
        from_catboost({"trees": []}, np.zeros(1, dtype=np.int32))


def test_the_mean_of_ensembles_is_the_mean_of_their_predictions_and_shapley_values(data, tmp_path):
    x, _ = data
    ensembles = [
        from_catboost(
            as_json(fitted(data, iterations=20, depth=3, seed=seed), tmp_path / "model.json"),
            np.arange(N_FEATURES, dtype=np.int32),
        )
        for seed in (1, 2)
    ]
    mean = mean_of(ensembles)
    np.testing.assert_allclose(mean.predict(x), (ensembles[0].predict(x) + ensembles[1].predict(x)) / 2, atol=1e-12)
    shares = [trees.contributions(x, N_FEATURES) for trees in ensembles]
    np.testing.assert_allclose(mean.contributions(x, N_FEATURES), (shares[0] + shares[1]) / 2, atol=1e-6)
    assert mean.expected == pytest.approx((ensembles[0].expected + ensembles[1].expected) / 2)
