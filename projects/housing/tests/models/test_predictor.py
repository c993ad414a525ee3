import copy
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from housing.data.columns import columns
from housing.data.consistency import violations
from housing.data.house import EXAMPLE
from housing.models.features import fields_of, groups
from housing.models.imputation import complete
from housing.models.predictor import SPARSE_FROM, Predictor, to_dollars

REQUIRED = [name for name, column in columns().items() if column.required]
OPTIONAL = [name for name, column in columns().items() if not column.required]


def cell(name: str) -> st.SearchStrategy:
    column = columns()[name]
    if column.kind == "integer":
        return st.integers(int(column.minimum), int(column.maximum))
    if column.kind == "number":
        return st.floats(column.minimum, column.maximum).map(lambda value: round(value, 1))
    return st.sampled_from(list(column.choices))


@st.composite
def houses(draw) -> dict:
    """Any house that the API accepts: every required column, some of the others, no rule broken."""
    names = [*REQUIRED, *draw(st.lists(st.sampled_from(OPTIONAL), unique=True, max_size=8))]
    house = {name: draw(cell(name)) for name in names}
    for broken in violations(house):
        house[broken.field] = min(house[broken.field], broken.limit)
    bounds = {name: columns()[name].minimum for name in house if columns()[name].is_numeric}
    assume(not violations(house) and all(house[name] >= low for name, low in bounds.items()))
    return house


def cents(dollars: float) -> int:
    return round(dollars * 100)


@pytest.fixture
def priced(predictor):
    """A function, because hypothesis prints its arguments and a predictor is long."""
    return lambda house, **options: predictor.predict([house], **options)[0]


@pytest.fixture
def completed(predictor):
    return lambda house: complete(house, predictor.typical)[0]


any_house = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@any_house
@given(house=houses())
def test_any_possible_house_has_a_price_an_interval_and_a_reason(priced, house):
    """The contributions add up to the cent; without a reason a house has no axis of houses, and the same answer."""
    answer, alone = priced(house, explain=True), priced(house)
    assert alone == replace(answer, explanation=None)
    assert json.loads(alone.filled.json()) == [asdict(entry) for entry in answer.filled]
    assert np.isfinite([answer.price, answer.interval.low, answer.interval.high]).all()
    assert 0 < answer.interval.low <= answer.price <= answer.interval.high
    reason = answer.explanation
    total = sum(cents(part.dollars) for part in reason.contributions)
    assert total == cents(answer.price) - cents(reason.average_price)
    sizes = [abs(part.dollars) for part in reason.contributions]
    assert sizes == sorted(sizes, reverse=True)
    assert {entry.field for entry in answer.filled} == set(columns()) - set(house)


@any_house
@given(house=houses())
def test_no_possible_house_is_completed_into_an_impossible_one(completed, house):
    assert violations(completed(house)) == []


@given(
    log_parts=st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=16),
    average=st.floats(10_000, 1_000_000),
)
@settings(deadline=None, derandomize=True)
def test_dollars_sum_to_the_difference_and_keep_their_signs(log_parts, average):
    parts = np.array(log_parts)
    dollars = to_dollars(parts, total=float(parts.sum()), average=average)
    price = round(average * float(np.exp(parts.sum())), 2)
    assert sum(cents(part) for part in dollars) == cents(price) - cents(round(average, 2))
    large = np.abs(dollars) > 1
    assert (np.sign(dollars[large]) == np.sign(parts[large])).all()


def test_dollars_without_a_difference():
    """Two parts cancel: the price is the average, and each part is worth its share of it."""
    np.testing.assert_allclose(to_dollars(np.array([0.1, -0.1]), total=0.0, average=1000.0), [100, -100])


def test_a_batch_keeps_its_order_and_each_price_is_that_of_the_house_alone(predictor, trained):
    records = trained.split.test.records
    batch = predictor.predict(records, explain=True)
    assert len(batch) == len(records)
    for record, together in zip(records, batch, strict=True):
        (alone,) = predictor.predict([record], explain=True)
        assert alone.price == pytest.approx(together.price, abs=0.011)
        assert alone.interval.low == pytest.approx(together.interval.low, abs=0.011)
        assert alone.interval.high == pytest.approx(together.interval.high, abs=0.011)
        assert (alone.filled, alone.warnings) == (together.filled, together.warnings)
        assert alone.explanation.comparables[0] == together.explanation.comparables[0]
    backwards = predictor.predict(records[::-1])
    assert [house.price for house in backwards] == [house.price for house in batch[::-1]]


def test_asking_for_a_reason_does_not_change_the_answer(predictor, trained):
    plain = predictor.predict(trained.split.test.records)
    explained = predictor.predict(trained.split.test.records, explain=True)
    assert plain == [replace(house, explanation=None) for house in explained]


def test_prices_in_bulk_are_those_of_predict(predictor, trained):
    price, low, high = predictor.price_and_interval(trained.split.test.records)
    houses_ = predictor.predict(trained.split.test.records)
    np.testing.assert_allclose(price, [house.price for house in houses_], atol=0.006)
    np.testing.assert_allclose(low, [house.interval.low for house in houses_], atol=0.006)
    np.testing.assert_allclose(high, [house.interval.high for house in houses_], atol=0.006)


def test_predicting_changes_nothing_in_the_model_or_the_record(predictor):
    record, before = dict(EXAMPLE), copy.deepcopy(predictor)
    first = predictor.predict([record], explain=True)
    assert record == EXAMPLE
    assert predictor.predict([record], explain=True) == first == before.predict([EXAMPLE], explain=True)


def with_errors(predictor: Predictor, **times: float) -> Predictor:
    """The model as if its held-out errors had been larger, with one band: its intervals are symmetric in the log."""
    changed = {}
    for kind in ("intervals", "sparse_intervals"):
        intervals = getattr(predictor, kind)
        scores = times.get(kind, 1.0) * intervals.calibration.scores
        one_band = {"paid_edges": np.empty(0), "paid_bands": np.zeros(len(scores), dtype=np.intp)}
        calibration = replace(intervals.calibration, scores=scores, **one_band)
        changed[kind] = replace(intervals, calibration=calibration)
    return replace(predictor, **changed)


def half_width(predictor: Predictor, house: dict) -> float:
    (answer,) = predictor.predict([house])
    assert np.log(answer.interval.high / answer.price) == pytest.approx(
        np.log(answer.price / answer.interval.low), abs=1e-6
    )
    return float(np.log(answer.interval.high / answer.price))


@pytest.mark.parametrize(("given", "kind"), [(10, "sparse_intervals"), (79, "intervals")])
def test_a_half_width_is_a_quantile_of_errors_of_records_like_it_times_a_scale(predictor, given, kind):
    """So errors that were twice as large double it, and errors of the other kind of records do not."""
    full, _ = complete(EXAMPLE, predictor.typical)
    house = dict(list({**EXAMPLE, **full}.items())[:given])
    other = {"intervals": "sparse_intervals", "sparse_intervals": "intervals"}[kind]
    as_fitted = half_width(with_errors(predictor), house)
    assert half_width(with_errors(predictor, **{kind: 2}), house) == pytest.approx(2 * as_fitted, rel=1e-5)
    assert half_width(with_errors(predictor, **{other: 2}), house) == as_fitted


def test_a_record_is_sparse_from_a_number_of_filled_fields_on(predictor):
    full = list({**EXAMPLE, **complete(EXAMPLE, predictor.typical)[0]}.items())
    sparse, nearly_full = dict(full[: 79 - SPARSE_FROM]), dict(full[: 79 - SPARSE_FROM + 1])
    wide, as_fitted = with_errors(predictor, sparse_intervals=2), with_errors(predictor)
    assert half_width(wide, sparse) > 1.5 * half_width(as_fitted, sparse)
    assert half_width(wide, nearly_full) == half_width(as_fitted, nearly_full)


def test_sparse_and_full_records_may_stand_in_one_batch(predictor):
    full, _ = complete(EXAMPLE, predictor.typical)
    together = predictor.predict([EXAMPLE, full, EXAMPLE])
    assert {house.interval.coverage for house in together} == {0.9}
    assert [house.interval for house in together] == [
        predictor.predict([house])[0].interval for house in (EXAMPLE, full, EXAMPLE)
    ]


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_weight_of_one_or_zero_serves_one_member_alone(predictor, trained, weight):
    """Its contributions still add up, so the explanation is of the member that answers."""
    member = replace(predictor, linear_weight=weight)
    records = trained.split.test.records[:20]
    other = replace(member, linear=replace(predictor.linear, intercept=predictor.linear.intercept + 1))
    moved = other.price_and_interval(records)[0] / member.price_and_interval(records)[0]
    np.testing.assert_allclose(moved, np.exp(weight))
    for house in member.predict(records, explain=True):
        total = sum(cents(part.dollars) for part in house.explanation.contributions)
        assert total == cents(house.price) - cents(house.explanation.average_price)


def test_the_average_price_is_the_geometric_mean_of_the_models_own_prices(trained):
    """To the extent that the tree member's own mean, over cross-fitted inputs, is that of its served inputs."""
    predictor = trained.predictor
    ours = np.exp(np.mean(np.log(predictor.price_and_interval(trained.split.train.records)[0])))
    (house,) = predictor.predict([EXAMPLE], explain=True)
    assert house.explanation.average_price == pytest.approx(ours, rel=0.01)


def test_an_explanation_names_every_group_once_with_its_fields(predictor):
    (house,) = predictor.predict([EXAMPLE], explain=True)
    parts = house.explanation.contributions
    assert sorted(part.group for part in parts) == sorted(groups())
    assert all(part.fields == fields_of(part.group) for part in parts)
    assert len(house.explanation.comparables) == 5


def test_more_quality_is_credited_to_quality(predictor):
    def quality(grade: int) -> float:
        (house,) = predictor.predict([{**EXAMPLE, "overall_qual": grade, "kitchen_qual": "Gd"}], explain=True)
        return next(part.dollars for part in house.explanation.contributions if part.group == "Quality")

    assert quality(4) < quality(6) < quality(9)


@pytest.mark.parametrize("larger", [1.1, 1.3, 1.5])
def test_a_larger_house_is_not_cheaper(predictor, trained, larger):
    """All else equal, the floors grown with the whole; on houses that were not learned from."""
    small = [complete(record, predictor.typical)[0] for record in trained.split.test.records]
    areas = ("gr_liv_area", "first_flr_sf", "second_flr_sf")
    large = [{**house, **{name: house[name] * larger for name in areas}} for house in small]
    ratio = predictor.price_and_interval(large)[0] / predictor.price_and_interval(small)[0]
    assert ratio.min() > 0.95
    assert np.mean(ratio > 0.99) > 0.97
    assert np.median(ratio) > 1 + 0.3 * (larger - 1)


def test_what_was_filled_is_reported_and_what_was_given_is_not(predictor, trained):
    (house,) = predictor.predict([EXAMPLE])
    assert {entry.field for entry in house.filled} == set(columns()) - set(EXAMPLE)
    full, _ = complete(EXAMPLE, predictor.typical)
    (same,) = predictor.predict([full])
    assert same.filled == []
    assert same.price == house.price  # giving what was filled changes nothing
    (unknown,) = predictor.predict([{**EXAMPLE, "kitchen_qual": None}])
    assert "kitchen_qual" in {entry.field for entry in unknown.filled}


def test_houses_that_were_learned_from_raise_no_warning(trained):
    assert all(house.warnings == [] for house in trained.predictor.predict(trained.split.train.records))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gr_liv_area": 12_000}, "gr_liv_area 12000 is outside of the "),
        ({"lot_area": 500}, "lot_area 500 is outside of the "),
        ({"pool_qc": "Ex", "pool_area": 0}, "no house that the model learned from has pool_qc Ex"),
    ],
)
def test_a_house_outside_of_what_was_seen_is_warned_about(predictor, changes, expected):
    (house,) = predictor.predict([{**EXAMPLE, **changes}])
    assert len(house.warnings) == 1
    assert house.warnings[0].startswith(expected)


def test_what_was_seen_is_the_training_part_alone_its_edges_included(trained):
    frame = trained.split.train.frame
    low, high = trained.predictor.seen.ranges["lot_area"]
    assert (low, high) == (frame["lot_area"].min(), frame["lot_area"].max())
    for size, warned in ((low, 0), (high, 0), (low - 1, 1), (high + 1, 1)):
        assert len(trained.predictor.seen.warnings({"lot_area": size})) == warned
    assert trained.predictor.seen.codes["neighborhood"] == sorted(frame["neighborhood"].unique())


def test_a_large_partly_built_house_is_priced_by_the_exception(predictor):
    """Both members take the linear member's effect, and the contributions still add up."""
    house = {**EXAMPLE, "gr_liv_area": 5000, "sale_condition": "Partial"}
    linear = replace(predictor.linear, coefficient=np.append(predictor.linear.coefficient[:-1], -0.7))
    odd = replace(predictor, linear=linear)
    before, after = predictor.price_and_interval([house])[0], odd.price_and_interval([house])[0]
    effect = -0.7 - predictor.linear.coefficient[-1]
    assert np.log(after / before)[0] == pytest.approx(effect)
    (answer,) = odd.predict([house], explain=True)
    total = sum(cents(part.dollars) for part in answer.explanation.contributions)
    assert total == cents(answer.price) - cents(answer.explanation.average_price)
    (usual,) = odd.predict([{**house, "sale_condition": "Normal"}])
    (unchanged,) = predictor.predict([{**house, "sale_condition": "Normal"}])
    assert usual.price == unchanged.price


def test_a_stored_model_knows_which_prices_had_moved_and_an_older_one_of_none(predictor, tmp_path):
    replace(predictor, moved={"NAmes": 0.2}).save(tmp_path)
    assert Predictor.load(tmp_path).moved == {"NAmes": 0.2}
    stored = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    del stored["moved"]
    (tmp_path / "model.json").write_text(json.dumps(stored), encoding="utf-8")
    assert Predictor.load(tmp_path).moved == {}
