import numpy as np
import pytest

from housing.evaluation.errors import AGES, _why, by_group, worst

RECORD = {
    "sale_condition": "Normal",
    "sale_type": "WD",
    "ms_zoning": "RL",
    "functional": "Typ",
    "overall_qual": 6.0,
    "overall_cond": 5.0,
}


@pytest.mark.parametrize("by", ["price quintile", "neighborhood", "age at sale", "condition of sale"])
def test_groups_share_out_all_houses(trained, by):
    groups = [group for group in by_group(trained.evaluation) if group.by == by]
    evaluation, paid = trained.evaluation, trained.split.test.prices
    assert sum(group.houses for group in groups) == len(paid)
    assert len({group.name for group in groups}) == len(groups)
    assert all(group.houses > 0 for group in groups)
    squares = sum(group.houses * group.rmsle**2 for group in groups)
    assert squares == pytest.approx(np.sum(np.log(evaluation.predicted / paid) ** 2))
    bias = sum(group.houses * group.bias for group in groups)
    assert bias == pytest.approx(np.sum(np.log(evaluation.predicted / paid)))
    inside = sum(group.houses * group.coverage for group in groups)
    assert inside == pytest.approx(np.sum((evaluation.low <= paid) & (paid <= evaluation.high)))


def test_quintiles_are_of_the_price_paid_and_of_equal_size(evaluation_of):
    paid = np.arange(1, 101) * 1000.0
    groups = by_group(evaluation_of(paid, paid * np.where(paid > 80_000, 2.0, 1.0)))
    quintiles = [group for group in groups if group.by == "price quintile"]
    assert [group.name[0] for group in quintiles] == ["1", "2", "3", "4", "5"]
    assert [group.houses for group in quintiles] == [20] * 5
    assert [group.rmsle for group in quintiles] == pytest.approx([0, 0, 0, 0, np.log(2)])
    assert quintiles[-1].bias == pytest.approx(np.log(2))  # above 0: overpriced
    assert [group.coverage for group in quintiles] == [1, 1, 1, 1, 0]


def test_ages_stand_in_order_and_their_edges_belong_to_the_older(evaluation_of):
    built = [2008.0, 1999.0, 1998.0, 1979.0, 1978.0, 1959.0, 1958.0, 1929.0, 1928.0]
    groups = by_group(evaluation_of([1e5] * 9, [1e5] * 9, year_built=built))
    ages = [(group.name, group.houses) for group in groups if group.by == "age at sale"]
    assert ages == list(zip(AGES, [2, 2, 2, 2, 1], strict=True))


def test_the_worst_houses_are_the_worst_and_sorted_and_state_their_numbers(trained):
    misses = worst(trained.evaluation, trained.predictor)
    errors = [abs(np.log(miss.predicted / miss.price)) for miss in misses]
    everyone = np.abs(np.log(trained.evaluation.predicted / trained.split.test.prices))
    assert len(errors) == 10
    assert errors == sorted(errors, reverse=True)
    np.testing.assert_allclose(errors, np.sort(everyone)[::-1][:10], atol=1e-6)
    frame = trained.split.test.frame.set_index("pid")
    for miss in misses:
        assert miss.price == frame.loc[miss.key, "sale_price"]
        assert miss.low < miss.predicted < miss.high
        direction = "Overpriced" if miss.predicted > miss.price else "Underpriced"
        assert miss.why.startswith(f"{direction} by {abs(miss.predicted / miss.price - 1):.0%}; ")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "nothing unusual"),
        ({"sale_condition": "Abnorml"}, "condition of sale "),
        ({"sale_type": "COD"}, "type of sale "),
        ({"sale_type": "New"}, "nothing unusual"),
        ({"ms_zoning": "C"}, "zoning commercial"),
        ({"functional": "Sev"}, "functionality "),
        ({"functional": None}, "nothing unusual"),
        ({"overall_cond": 3.0}, "quality 6, condition 3"),
        ({"overall_qual": 2.0}, "quality 2, condition 5"),
        # The schema lets every input column be unknown.
        ({"overall_qual": float("nan"), "overall_cond": float("nan")}, "nothing unusual"),
        (dict.fromkeys(("sale_condition", "sale_type", "ms_zoning")), "nothing unusual"),
    ],
)
def test_the_reason_is_in_the_record_or_the_sentence_says_that_it_is_not(changes, expected):
    assert expected in _why({**RECORD, **changes}, 100_000, 150_000, 140_000)
