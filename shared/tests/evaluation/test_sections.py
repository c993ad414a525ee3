import pytest

from portfolio_shared.evaluation.sections import (
    SectionError,
    fill_sections,
    markdown_table,
    rates_table,
    read_section,
    serving_table,
    with_interval,
)
from portfolio_shared.evaluation.uncertainty import Interval

PAGE = "# Title\n<!-- report:a -->\nold\n<!-- /report:a -->\nmine\n<!-- report:b --><!-- /report:b -->\n"


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


def test_only_what_is_between_the_markers_changes(page):
    fill_sections(page, {"a": "new", "b": "| x |\n| \\1 |"})
    assert page.read_text(encoding="utf-8") == (
        "# Title\n<!-- report:a -->\nnew\n<!-- /report:a -->\nmine\n"
        "<!-- report:b -->\n| x |\n| \\1 |\n<!-- /report:b -->\n"
    )
    assert read_section(page, "a") == "new"


def test_a_missing_section_is_an_error_and_nothing_is_written(page):
    with pytest.raises(SectionError, match="report:c"):
        fill_sections(page, {"a": "new", "c": "x"})
    assert page.read_text(encoding="utf-8") == PAGE


def test_two_pairs_are_an_error(page):
    page.write_text(PAGE + PAGE, encoding="utf-8")
    with pytest.raises(SectionError, match="found 2"):
        read_section(page, "a")


def test_cells_with_a_bar_stay_one_cell_and_html_stays_text():
    assert markdown_table(["a"], [["x|y<b>"]]).splitlines()[-1] == r"| x\|y&lt;b> |"


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (Interval(0.1054, 0.0949, 0.1161), "0.105 (0.095 to 0.116)"),
        (Interval(12345.6, 11000.4, 13999.5), "12,346 (11,000 to 14,000)"),
        (Interval(-3.0, -250.0, 244.0), "-3 (-250 to 244)"),
    ],
)
def test_numbers_are_written_with_the_digits_they_have(interval, expected):
    assert with_interval(interval) == expected


def test_serving_costs_are_read_from_the_record():
    loaded = {"a_second": 1234.5, "cpu_ms": 0.8, "refused_share": 0.25}
    ours = {"1": {"p50": 0.812}, "16": loaded, "ready_seconds": 1.26, "rss_mb": 123.4}
    peer = {"1": {"p50": 20.0}, "16": {"a_second": 18.2, "cpu_ms": 60.0, "refused_share": 0.0}}
    others = {"explained": {"1": {"p50": 1.5}}, "batch": {"16": peer["16"]}, "the call alone": {"ms": 0.5}}
    rows = {"ours": ours, "peer": peer, **others}
    assert serving_table({"rows": rows}) == (
        "|  | p50 of one client, ms | answers a second, 16 clients | CPU of a request, ms | times ours |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| ours | 0.81 | 1,234 (25% refused) | 0.80 | 1.00 |\n"
        "| peer | 20.00 | 18 | 60.00 | 75.00 |\n"
        "| explained | 1.50 |  |  |  |\n"
        "| batch |  | 18 | 60.00 | 75.00 |\n"
        "| the call alone | 0.50 |  |  |  |\n\n"
        "Ready 1.3 s after its start; 123 MB resident.\n"
    )


def test_rates_are_shares_of_the_first_way():
    ways = [
        {"name": "ours", "rows": 29_300, "rows_a_second": 46_984},
        {"name": "peer", "rows": 29_300, "rows_a_second": 11_746},
    ]
    assert rates_table({"ways": ways}).splitlines()[0::2] == [
        "| 29,300 rows | rows a second | times ours |",
        "| ours | 46,984 | 1.00 |",
    ]
    assert rates_table({"ways": ways}).endswith("| peer | 11,746 | 0.25 |")
