import json
import re
from math import ceil
from pathlib import Path

import pytest
from rich.console import Console

from housing import train as training_module
from housing.config import ModelSettings, ReportConfig, ScaleSettings, TreeSettings, tuned_settings
from housing.data.house import EXAMPLE
from housing.data.load import split
from housing.evaluation.candidates import chosen_settings
from housing.evaluation.tables import aim_sentence, groups_table, summary_table
from housing.report import numbers, report, tables, ten_fields
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.sections import read_section
from portfolio_shared.operations.sequences import needed

PROJECT = Path(__file__).parents[1]
ROOT = PROJECT.parents[1]
RECORDED = PROJECT / "docs" / "report.json"
SECTIONS = (
    *("data", "result", "candidates", "ablation", "test", "intervals", "examples", "expensive", "groups", "misses"),
    *("families", "left-out", "bias-variance", "next-year", "areas", "contributions", "baselines", "serving", "batch"),
    *("folds-test", "held"),
)
FIGURES = {
    *(
        "prices",
        "price-area",
        "neighborhoods",
        "candidates",
        "predicted-actual",
        "residuals",
        "coverage",
        "calibration",
    ),
    *("staircase", "bias-variance", "learning-curve", "areas"),
}
QUICK = ModelSettings(
    trees=TreeSettings(iterations=20, depth=3, learning_rate=0.3), scale=ScaleSettings(iterations=5, depth=2)
)


def markers(names) -> str:
    return "\n".join(f"words\n<!-- report:{name} -->\nSTALE\n<!-- /report:{name} -->" for name in names) + "\nend\n"


def cells(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.fixture(scope="module")
def written(tmp_path_factory, some_rows):
    """A whole report from 300 sales and a handful of trees, into a copy of nothing."""
    folder = tmp_path_factory.mktemp("report")
    sales, project = folder / "sales.csv", folder / "project"
    project.mkdir()
    some_rows(300).to_csv(sales, index=False)
    (project / "README.md").write_text(markers(SECTIONS), encoding="utf-8")
    (folder / "README.md").write_text(markers(["housing"]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_module, "tuned_settings", lambda path: QUICK)
        patch.setattr("housing.evaluation.learning_curve.SHARES", (0.5, 1.0))
        patch.setattr("housing.evaluation.variance.REFITS", 3)
        config = ReportConfig(
            data=str(sales), project=project, root_readme=folder / "README.md", benchmarks=folder, threads=1
        )
        report(config, Console(quiet=True))
    return folder


@pytest.fixture(scope="module")
def recorded(written):
    return json.loads((written / "project" / "docs" / "report.json").read_text(encoding="utf-8"))


@pytest.mark.long
def test_every_section_is_filled_and_a_persons_words_stay(written):
    text = (written / "project" / "README.md").read_text(encoding="utf-8")
    assert "STALE" not in text
    assert text.count("words") == len(SECTIONS)
    assert text.endswith("end\n")
    for name in SECTIONS:
        assert read_section(written / "project" / "README.md", name)
    assert "house prices" in read_section(written / "README.md", "housing")


@pytest.mark.long
def test_what_is_written_is_what_is_recorded(written, recorded):
    assert_sections_match(written / "project" / "README.md", written / "README.md", recorded)


@pytest.mark.long
def test_the_figures_of_the_readme_are_drawn(written):
    names = {path.stem for path in (written / "project" / "docs").glob("*.svg")}
    assert names == FIGURES
    assert all(path.read_text(encoding="utf-8").lstrip()[:5] == "<?xml" for path in written.rglob("*.svg"))


@pytest.mark.long
def test_the_record_is_of_plain_numbers(recorded):
    assert recorded["rows"]["train"] + recorded["rows"]["test"] == 300
    assert list(recorded["learning_curve"]) == sorted(recorded["learning_curve"], key=int)
    assert all(len(errors) == 5 for curve in recorded["learning_curve"].values() for errors in curve.values())
    assert all(numbers(recorded).values())
    assert "NaN" not in json.dumps(recorded)


@pytest.mark.long
def test_the_ablation_goes_from_a_plain_ridge_to_the_served_blend_and_shows_the_leak(recorded):
    """The naive means fit their own rows better than the cross-fitted ones do, and new rows no better."""
    steps = {step["name"]: step for step in recorded["ablation"]}
    assert len(steps) == 10
    candidates, served = recorded["candidates"], recorded["candidates"][recorded["chosen"]]
    assert steps["ridge on the file's own columns"]["rmsle"] == pytest.approx(candidates["ridge"]["rmsle_mean"])
    assert steps["blend of the two members (served)"]["mae"] == pytest.approx(served["mae_mean"])
    naive = next(step for name, step in steps.items() if "leak" in name)
    crossed = next(step for name, step in steps.items() if "cross-fitted" in name)
    assert naive["rmsle"] / naive["training_rmsle"] > crossed["rmsle"] / crossed["training_rmsle"]


@pytest.mark.long
def test_candidates_stand_from_best_to_worst_and_the_chosen_one_is_marked(recorded):
    rows = cells(tables(recorded)["candidates"])[2:]
    errors = [float(row[1]) for row in rows]
    assert errors == sorted(errors)
    assert [row[0] for row in rows if row[0].startswith("**")] == [f"**{recorded['chosen']}**"]
    assert len(rows) == len(recorded["candidates"])


def test_ten_fields_are_priced_as_ten_fields(trained, monkeypatch):
    """What is filled must not be taken from the full record."""
    asked = []
    predict = type(trained.predictor).price_and_interval

    def spying(self, records):
        asked.extend(records)
        return predict(self, records)

    monkeypatch.setattr(type(trained.predictor), "price_and_interval", spying)
    ten = ten_fields(trained)
    assert set(ten) == set(trained.evaluation.metrics)
    assert {tuple(sorted(record)) for record in asked} == {tuple(sorted(EXAMPLE))}
    all_fields = trained.evaluation.metrics["root_mean_squared_log_error"].estimate
    assert 0.9 * all_fields < ten["root_mean_squared_log_error"].estimate < 2 * all_fields


def test_small_groups_are_not_in_the_table_and_are_counted():
    group = {"by": "neighborhood", "rmsle": 0.1, "bias": -0.01, "coverage": 0.9}
    groups = [{**group, "name": name, "houses": n} for name, n in (("A", 10), ("B", 9), ("C", 1))]
    table = groups_table(groups)
    assert [row[0] for row in cells(table)[2:]] == ["neighborhood: A"]
    assert "2 groups with fewer than 10 test houses are not shown" in table


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ([100, 98], "Every fifth holds the 87% that were aimed at."),
        ([98, 100], "houses that are lacking: 2 in fifth 1. "),
        ([99, 86], "houses that are lacking: 1 in fifth 1, 12 in fifth 2. "),
    ],
)
def test_the_report_says_how_many_houses_a_fifth_lacks(held, said):
    """87 % of 114 houses are 100, of 112 houses 98."""
    fifths = [
        {"name": str(i + 1), "houses": n, "coverage": inside / n}
        for i, (inside, n) in enumerate(zip(held, (114, 112), strict=True))
    ]
    assert said in aim_sentence(fifths)


def test_the_committed_report_is_of_the_sales_that_ship_and_the_settings_in_use(dataset):
    """So whoever trains from a clone repeats its figures."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    report = dataset.report.as_dict()
    assert recorded["data"] == {"source": dataset.source.kind, "sha256": dataset.sha256, "report": report}
    assert recorded["test_split_sha256"] == split_digest(split(dataset).test.keys)
    assert recorded["settings"] == chosen_settings(recorded["chosen"], tuned_settings()).model_dump(mode="json")


def test_the_size_of_the_experiment_is_what_its_command_prints():
    text = (PROJECT / "docs" / "after-deployment.md").read_text(encoding="utf-8")
    asked = [(float(a), float(b)) for a, b in re.findall(r"needed\((0\.\d+), (0\.\d+)\)", text)]
    clients, quarter = (needed(*each) for each in asked)
    assert f"\n{clients} {quarter}\n```\n" in text
    assert f"So {clients} clients: nine days, if 15 come a day. To find a quarter of that difference" in text
    assert ceil(clients / 15) == 9
    assert f"takes {quarter:,}." in text
    (difference, deviation), (fourth, _) = asked
    assert f"standard deviation of {deviation:g}. What matters was set at {difference:g}," in text
    assert fourth == difference / 4


def assert_sections_match(readme: Path, root_readme: Path, recorded: dict) -> None:
    """Write the sections again from the record alone, and compare."""
    for name, text in tables(recorded).items():
        assert read_section(readme, name) == text.strip("\n"), f"section {name}: run `make reports`"
    assert read_section(root_readme, "housing") == summary_table(recorded).strip("\n")
