import io

from rich.console import Console

from portfolio_shared.evaluation.tables import Column, candidate_rows, metric_rows, terminal_table
from portfolio_shared.evaluation.uncertainty import Interval

COLUMNS = (Column("rmsle", "RMSLE", ".4f"), Column("mae", "MAE, dollars", ",.0f"))
CANDIDATES = {"blend": {"rmsle": 0.10923, "mae": 12345.6, "more": 1.0}, "ridge": {"rmsle": 0.2, "mae": 999.0}}


def test_candidates_keep_their_order_and_the_chosen_one_is_bold():
    assert candidate_rows(CANDIDATES, COLUMNS, chosen="ridge") == (
        ["candidate", "RMSLE", "MAE, dollars"],
        [["blend", "0.1092", "12,346"], ["**ridge**", "0.2000", "999"]],
    )


def test_a_metric_that_one_baseline_lacks_has_empty_cells():
    metrics = {"error": Interval(0.5, 0.25, 0.75), "coverage": Interval(0.9, 0.8, 1.0)}
    baselines = {"a": {"error": Interval(1.0, 0.5, 1.5), "coverage": Interval(0.7, 0.6, 0.8)}, "b": {}}
    headings, rows = metric_rows({"error": "MAE", "coverage": "coverage"}, metrics, baselines)

    assert headings == ["metric", "chosen model", "a", "b"]
    assert rows == [["MAE", "0.500 (0.250 to 0.750)", "1.000", ""], ["coverage", "0.900 (0.800 to 1.000)", "0.700", ""]]

    _, rows = metric_rows({"error": "MAE"}, {"error": metrics["error"]}, baselines, intervals=True)
    assert rows == [["MAE", "0.500 (0.250 to 0.750)", "1.000 (0.500 to 1.500)", ""]]


def test_the_terminal_shows_title_headings_and_cells():
    out = io.StringIO()
    Console(file=out, width=100).print(terminal_table("Candidates", *candidate_rows(CANDIDATES, COLUMNS)))
    for text in ("Candidates", "MAE, dollars", "12,346"):
        assert text in out.getvalue()
