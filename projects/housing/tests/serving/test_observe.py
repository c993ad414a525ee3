"""What is watched: columns as the service reads them, a reference that can be compared with any window, measures."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import ks_2samp

from housing.config import TrainConfig
from housing.data.columns import columns
from housing.data.house import EXAMPLE, House, sparsely
from housing.models.held_out import HeldOut
from housing.models.imputation import complete
from housing.models.predictor import Predictor
from housing.serving.observe import WATCH, Truth
from housing.serving.schemas import MAX_HOUSES
from housing.train import PROJECT, Trained
from portfolio_shared.operations.drift import drift
from portfolio_shared.operations.store import LoggedPrediction
from portfolio_shared.operations.watch import REFERENCE_NAME, REFERENCE_ROWS, Columns, read_reference, write_reference


def logged(predictor: Predictor, houses: list[dict]) -> LoggedPrediction:
    records = [House.model_validate(house).model_dump(exclude_none=True) for house in houses]
    answer = {"predictions": [asdict(prediction) for prediction in predictor.predict(records)]}
    request = json.dumps({"houses": houses})
    return LoggedPrediction(
        "id", 0.0, "housing", "1", "/v1/predictions", "", len(houses), 1.0, request, json.dumps(answer)
    )


def window_of(predictor: Predictor, houses: list[dict], reference: Columns) -> Columns:
    """Return the columns of logged houses, as a look at the log has them."""
    rows = WATCH.columns(Path())(logged(predictor, houses))
    return {
        name: np.array([row.get(name, np.nan if cells.dtype.kind == "f" else "") for row in rows])
        for name, cells in reference.items()
    }


def test_the_columns_of_a_house_are_its_fields_as_they_were_put_right(predictor: Predictor) -> None:
    strange = {
        "exterior_2nd": "Wd Shng",
        "year_remod_add": 1999,
        "ms_subclass": 20,
        "lot_frontage": "80,5",
        "alley": None,
    }
    plain, repaired = WATCH.columns(Path())(logged(predictor, [EXAMPLE, EXAMPLE | strange]))

    (answer,) = predictor.predict([EXAMPLE])
    width = (answer.interval.high - answer.interval.low) / answer.price
    fields = {name: value if isinstance(value, str) else float(value) for name, value in EXAMPLE.items()}
    assert plain == fields | {"price": answer.price, "width": width}
    given = {"exterior_2nd": "WdShing", "year_remod_add": 2003.0, "ms_subclass": "020", "lot_frontage": 80.5}
    assert {name: value for name, value in repaired.items() if name not in ("price", "width")} == fields | given


def test_a_bundle_has_a_reference_of_all_that_is_watched(bundle: Path, trained: Trained) -> None:
    reference = read_reference(bundle)

    assert list(reference) == [*columns(), "price", "width"]
    assert all((reference[name].dtype.kind == "f") == column.is_numeric for name, column in columns().items())
    rows, held_out = len(trained.data.sales.frame), len(trained.split.test.frame)
    assert len(reference["price"]) == rows <= REFERENCE_ROWS
    assert np.isfinite(reference["price"]).sum() == np.isfinite(reference["width"]).sum() == held_out


def test_a_predictor_does_not_read_the_reference(bundle: Path, tmp_path: Path, predictor: Predictor) -> None:
    for file in bundle.iterdir():
        (tmp_path / file.name).write_bytes(b"" if file.name == REFERENCE_NAME else file.read_bytes())
    assert Predictor.load(tmp_path).predict([EXAMPLE]) == predictor.predict([EXAMPLE])


def test_houses_of_few_fields_are_compared_with_houses_of_few_fields(
    bundle: Path, trained: Trained, predictor: Predictor
) -> None:
    """A window that leaves out most fields looks drifted beside full records, and undrifted beside its like."""
    reference = read_reference(bundle)
    held_out = np.flatnonzero(np.isfinite(reference["price"]))
    reference["price"][held_out[::2]] = (
        np.nan
    )  # the houses of the window, which are others than those it is compared with
    window = window_of(predictor, list(map(sparsely, trained.split.test.records[::2])), reference)
    comparable = WATCH.comparable(bundle, reference, window)

    def p_value(name: str, beside: Columns) -> float:
        return float(ks_2samp(beside[name][held_out[1::2]], window[name]).pvalue)

    assert p_value("width", reference) < 1e-6
    assert min(p_value("price", comparable), p_value("width", comparable)) > 0.05
    np.testing.assert_array_equal(np.isfinite(comparable["price"]), np.isfinite(reference["price"]))
    expected = predictor.price_and_interval(list(map(sparsely, trained.split.test.records[1::2])))[0]
    np.testing.assert_allclose(comparable["price"][held_out[1::2]], expected)
    assert all(comparable[name] is reference[name] for name in columns())


def test_prices_of_a_refitted_model_are_not_compared(trained: Trained, predictor: Predictor, tmp_path: Path) -> None:
    """It has learned from the test houses: beside their widths those of any new houses would look drifted."""
    test = trained.split.test
    held_out = HeldOut(np.array(test.keys, dtype=np.str_), test.prices, trained.evaluation.predicted)
    refitted = replace(trained, predictor=replace(trained.predictor, held_out=held_out))
    write_reference(tmp_path, PROJECT.reference(TrainConfig(), refitted))
    reference = read_reference(tmp_path)

    window = window_of(predictor, list(map(sparsely, test.records[:100])), reference)
    found = drift(WATCH.comparable(tmp_path, reference, window), window, alpha=0.05)
    assert {column.name for column in found.not_compared} >= {"price", "width"}
    assert np.isfinite(reference["gr_liv_area"]).all()


def test_full_houses_are_priced_as_they_were(bundle: Path, trained: Trained, predictor: Predictor) -> None:
    reference = read_reference(bundle)
    records = [
        {name: value for name, value in each.items() if value is not None} for each in trained.split.test.records
    ]
    complete = [each for each in records if len(each) == len(columns())]
    comparable = WATCH.comparable(bundle, reference, window_of(predictor, complete, reference))
    np.testing.assert_allclose(comparable["price"], reference["price"])
    np.testing.assert_allclose(comparable["width"], reference["width"])


@pytest.mark.parametrize(("paid", "covered"), [(1.001, 1.0), (2.0, 0.0), (0.5, 0.0)])
@pytest.mark.parametrize(("left_open", "suffix"), [(4, ""), (5, "_partial"), (59, "_partial"), (60, "_sparse")])
def test_feedback_measures_a_price_beside_those_that_knew_as_much(
    predictor: Predictor, paid: float, covered: float, left_open: int, suffix: str
) -> None:
    full = list(complete(EXAMPLE, predictor.typical)[0].items())  # the required fields first
    row = logged(predictor, [EXAMPLE, dict(full[: len(full) - left_open])])
    assert len(json.loads(row.response)["predictions"][1]["filled"]) == left_open
    price = json.loads(row.response)["predictions"][1]["price"]

    measures = WATCH.measure(row, 1, Truth(price=paid * price))

    assert measures == pytest.approx(
        {
            f"absolute_error{suffix}": abs(1 - paid) * price,
            f"relative_error{suffix}": abs(1 - paid) / paid,
            "coverage": covered,
        }
    )
    compared = {name for name in measures if WATCH.measures[name].metric is not None}
    assert compared == ({"coverage"} if suffix == "_partial" else set(measures))


@pytest.mark.parametrize("paid", [185.0, 999.99, 10_000_001.0, float("nan")])
def test_what_no_house_costs_is_no_truth(paid: float) -> None:
    """185 for 185.000 would ruin the means of a window."""
    with pytest.raises(ValidationError, match="price"):
        Truth(price=paid)


def test_an_answer_is_read_once_for_a_thousand_truths(predictor: Predictor) -> None:
    row = logged(predictor, [EXAMPLE] * MAX_HOUSES)
    with mock.patch("json.loads", wraps=json.loads) as read:
        for index in range(MAX_HOUSES):
            WATCH.measure(row, index, Truth(price=200_000))
    assert read.call_count == 1


def test_two_answers_are_apart_in_their_loss_by_the_log_of_their_ratio_at_most(predictor: Predictor) -> None:
    row = logged(predictor, [EXAMPLE, EXAMPLE])
    answers = json.loads(row.response)
    answers["predictions"][1]["price"] *= 1.2
    other = row._replace(response=json.dumps(answers))
    price = answers["predictions"][0]["price"]
    assert WATCH.loss(other, 1, Truth(price=price)) == pytest.approx(np.log(1.2))
    for paid in (1_000, price * 1.1, 10_000_000):
        losses = [WATCH.loss(each, 1, Truth(price=paid)) for each in (row, other)]
        assert abs(np.subtract(*losses)) <= np.log(1.2) + 1e-12


def test_a_house_stays_itself_with_other_words_about_it_and_not_with_other_required_fields(
    predictor: Predictor,
) -> None:
    same = [EXAMPLE, EXAMPLE | {"gr_liv_area": "1710.0", "mo_sold": 3, "alley": None}]
    other = [EXAMPLE | {"gr_liv_area": 1711}, EXAMPLE | {"neighborhood": "NAmes"}]
    row = logged(predictor, [*same, *other])
    known = [WATCH.about(row, index) for index in range(4)]
    assert known[0] == known[1]
    assert len(set(known)) == 3


@pytest.mark.parametrize(
    ("wrong", "least", "most"),
    [
        (lambda paid: paid, 0, 0.01),
        (lambda paid: paid * 1.25, 0, 0.03),
        (lambda paid: paid * 1.4, 0, 0.08),
        (lambda paid: paid * 3, 0.98, 1),
        (lambda paid: paid / 3, 0.95, 1),
        (lambda paid: max(paid / 100, 1_000), 1, 1),
        (lambda paid: float("8" + str(int(paid))[1:]) if paid < 4e5 else paid * 3, 0.93, 1),
        (lambda paid: 1e7, 1, 1),
    ],
    ids=["paid", "boom of 25 %", "boom of 40 %", "times 3", "a third", "a hundredth", "a wrong digit", "the most"],
)
def test_a_lie_is_doubted_and_a_boom_is_not(
    trained: Trained, predictor: Predictor, wrong: Callable[[float], float], least: float, most: float
) -> None:
    test = trained.split.test
    full = [{name: value for name, value in record.items() if value is not None} for record in test.records]
    for houses in (full, list(map(sparsely, test.records))):
        row = logged(predictor, houses)
        doubts = [WATCH.doubt(row, i, Truth(price=wrong(paid))) for i, paid in enumerate(test.prices.tolist())]
        assert least <= np.mean([why is not None for why in doubts]) <= most
        assert set(doubts) <= {None, "far outside of the interval"}
