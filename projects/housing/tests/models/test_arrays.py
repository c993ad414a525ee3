from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from housing.models.predictor import ARRAYS, Predictor


def test_a_saved_model_gives_the_same_numbers(trained, tmp_path):
    trained.predictor.save(tmp_path)
    again = Predictor.load(tmp_path)
    records = trained.split.test.records
    assert again.predict(records, explain=True) == trained.predictor.predict(records, explain=True)
    for name in ARRAYS:
        fitted, stored = (getattr(model, name) for model in (trained.predictor, again))
        for field in fields(fitted):  # what a model keeps beside them is computed from them
            np.testing.assert_array_equal(getattr(stored, field.name), getattr(fitted, field.name))
    for kind in ("intervals", "sparse_intervals"):
        stored, fitted = (getattr(model, kind) for model in (again, trained.predictor))
        np.testing.assert_array_equal(stored.quantiles, fitted.quantiles)
        for field, array in vars(fitted.calibration).items():
            np.testing.assert_array_equal(getattr(stored.calibration, field), array)
    assert (again.typical, again.seen) == (trained.predictor.typical, trained.predictor.seen)


@pytest.mark.parametrize("name", [*ARRAYS, "scale", "calibration", "sparse_scale", "sparse_calibration"])
def test_a_pickled_object_among_the_arrays_is_refused(predictor, tmp_path, name):
    """Loading must not run code that a file brings along."""
    predictor.save(tmp_path)
    path = tmp_path / f"{name}.npz"
    with np.load(path, allow_pickle=False) as arrays:
        kept = dict(arrays)
    first = next(iter(kept))
    np.savez(path, **{**kept, first: np.array([{"any": "object"}], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        Predictor.load(tmp_path)


def test_arrays_of_other_code_are_refused_by_name(predictor, tmp_path):
    """A model of bands of the predicted price must not be read as one of bands of the price paid."""
    predictor.save(tmp_path)
    with np.load(tmp_path / "calibration.npz") as arrays:
        kept = dict(arrays)
    np.savez(
        tmp_path / "calibration.npz", band_edges=kept["paid_edges"], scores=kept["scores"], bands=kept["paid_bands"]
    )
    with pytest.raises(ValueError, match=r"expected paid_edges, .* found band_edges, scores, bands: train again"):
        Predictor.load(tmp_path)


def test_a_predictor_holds_no_library_object(predictor):
    """Serving needs NumPy alone: what is stored is arrays, numbers, text and plain classes of this package."""

    def check(value: object) -> None:
        kind = type(value)
        if is_dataclass(value):
            assert kind.__module__.startswith("housing.")
            for field in fields(value):
                check(getattr(value, field.name))
        else:
            assert kind.__module__ in ("builtins", "numpy")

    assert isinstance(predictor, Predictor)
    check(predictor)
