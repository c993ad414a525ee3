import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from housing import report as report_module
from housing import train as training_module
from housing.config import ModelSettings, ReportConfig, ScaleSettings, TreeSettings
from housing.data.load import load_sales
from housing.data.sample import generate_sales
from housing.evaluation.ablation import N_STEPS, Step
from housing.evaluation.errors import Group, Miss
from housing.models.predictor import MemberPrices
from housing.report import (
    ablation_table,
    candidates_table,
    evaluate_bundle,
    groups_table,
    intervals_table,
    learning_curve,
    misses_table,
    report,
    summary_row,
    ten_fields,
)
from housing.report import test_table as table_of_test  # under its own name pytest would collect it
from housing.serving.schemas import EXAMPLE
from portfolio_shared.evaluation.sections import SectionError, read_section, with_interval
from portfolio_shared.evaluation.uncertainty import Interval

PROJECT = Path(__file__).parents[1]
ROOT = PROJECT.parents[1]
RECORDED = PROJECT / "docs" / "report.json"
SECTIONS = ("data", "candidates", "ablation", "test", "intervals", "groups", "misses", "peers", "serving")
QUICK = ModelSettings(
    trees=TreeSettings(iterations=5, depth=2, learning_rate=0.3), scale=ScaleSettings(iterations=5, depth=2)
)


def markers(names) -> str:
    return "\n".join(f"words\n<!-- report:{name} -->\nSTALE\n<!-- /report:{name} -->" for name in names) + "\nend\n"


def cells(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A whole report from 300 generated sales and a handful of trees, into a copy of nothing."""
    folder = tmp_path_factory.mktemp("report")
    sales, project = folder / "sales.csv", folder / "project"
    project.mkdir()
    generate_sales(300, seed=1).to_csv(sales, index=False)
    (project / "README.md").write_text(markers(SECTIONS), encoding="utf-8")
    (folder / "README.md").write_text(markers(["housing"]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_module, "tuned_settings", lambda: QUICK)
        patch.setattr(report_module, "SHARES", (0.5, 1.0))
        patch.setattr(report_module, "measured", lambda folder: {"peers": "| none |", "serving": "| none |"})
        config = ReportConfig(
            data=str(sales), project=project, root_readme=folder / "README.md", benchmarks=folder, threads=1
        )
        report(config, Console(quiet=True))
    return folder


def test_every_section_is_filled_and_a_persons_words_stay(written):
    text = (written / "project" / "README.md").read_text(encoding="utf-8")
    assert "STALE" not in text
    assert text.count("words") == len(SECTIONS)
    assert text.endswith("end\n")
    for name in SECTIONS:
        assert read_section(written / "project" / "README.md", name)
    assert "house prices" in read_section(written / "README.md", "housing")


def test_what_is_written_is_what_is_recorded(written):
    assert_sections_match(
        written / "project" / "README.md", written / "README.md", written / "project" / "docs" / "report.json"
    )


def test_the_figures_of_the_readme_are_drawn(written):
    names = {path.stem for path in (written / "project" / "docs").glob("*.svg")}
    assert names == {"candidates", "predicted-actual", "residuals", "coverage", "calibration", "learning-curve"}
    assert all(path.read_text(encoding="utf-8").lstrip()[:5] == "<?xml" for path in written.rglob("*.svg"))


def test_the_record_is_of_plain_numbers(written):
    recorded = json.loads((written / "project" / "docs" / "report.json").read_text(encoding="utf-8"))
    assert recorded["rows"]["train"] + recorded["rows"]["test"] == 300
    assert len(recorded["ablation"]) == N_STEPS
    assert list(recorded["learning_curve"]) == sorted(recorded["learning_curve"], key=int)
    assert all(len(errors) == 5 for errors in recorded["learning_curve"].values())
    assert "NaN" not in json.dumps(recorded)


def test_the_ablation_shows_the_leak(written):
    """The naive means fit their own rows better than the cross-fitted ones do, and new rows no better."""
    recorded = json.loads((written / "project" / "docs" / "report.json").read_text(encoding="utf-8"))
    steps = {step["name"]: step for step in recorded["ablation"]}
    naive = next(step for name, step in steps.items() if "leak" in name)
    crossed = next(step for name, step in steps.items() if "cross-fitted" in name)
    assert naive["rmsle"] / naive["training_rmsle"] > crossed["rmsle"] / crossed["training_rmsle"]


def test_a_readme_without_a_section_is_an_error_and_is_not_touched(written, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("nothing is marked here\n", encoding="utf-8")
    with pytest.raises(SectionError, match="report:data"):
        report_module.fill_sections(readme, {"data": "text"})
    assert readme.read_text(encoding="utf-8") == "nothing is marked here\n"


def test_candidates_stand_from_best_to_worst_and_the_chosen_one_is_marked(trained):
    rows = cells(candidates_table(trained))[2:]
    errors = [float(row[1]) for row in rows]
    assert errors == sorted(errors)
    assert [row[0] for row in rows if row[0].startswith("**")] == [f"**{trained.chosen}**"]
    assert len(rows) == len(trained.candidates)


def test_ten_fields_are_priced_as_ten_fields(trained, monkeypatch):
    """What is filled must not be taken from the full record; on the sample ten fields say nearly all."""
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


def test_small_groups_are_left_out_of_the_table_and_counted():
    groups = [Group("neighborhood", name, n, 0.1, -0.01, 0.9) for name, n in (("A", 10), ("B", 9), ("C", 1))]
    table = groups_table(groups)
    assert [row[0] for row in cells(table)[2:]] == ["neighborhood: A"]
    assert "2 groups with fewer than 10 test houses are not shown" in table


def test_the_learning_curve_is_measured_on_houses_held_out(monkeypatch):
    sales = load_sales("sample").take(np.arange(800) < 150)
    sizes = []

    class Memory:
        """Remembers prices; the median where it does not know a house."""

        def __init__(self, records, prices, settings, *, threads) -> None:
            self.known = {id(record) for record in records}
            self.middle = float(np.median(np.log(prices)))
            sizes.append(len(records))

        def log_prices(self, records) -> MemberPrices:
            assert not self.known & {id(record) for record in records}
            return MemberPrices(*np.full((2, len(records)), self.middle))

    monkeypatch.setattr(report_module, "fit_members", Memory)
    curve = learning_curve(sales, np.arange(150) % 5, QUICK)
    assert sizes == [size for size in (12, 24, 48, 72, 96, 120) for _ in range(5)]
    assert list(curve) == [12, 24, 48, 72, 96, 120]
    assert all(0.3 < error < 0.8 for errors in curve.values() for error in errors)


def test_a_bundle_is_evaluated_on_the_houses_it_was_tested_on(bundle, trained, capsys):
    evaluate_bundle(bundle, "sample", Console(width=200))
    printed = capsys.readouterr().out
    assert "some may be houses it learned from" not in printed
    expected = with_interval(trained.evaluation.metrics["mean_absolute_error"])
    assert f"MAE, dollars: {expected}" in printed


def test_other_houses_than_the_bundles_own_are_said_to_be_others(bundle, tmp_path, capsys):
    other = tmp_path / "other.csv"
    frame = generate_sales(200, seed=5)
    frame["PID"] = [f"8{key[1:]}" for key in frame["PID"]]
    frame.to_csv(other, index=False)
    evaluate_bundle(bundle, str(other), Console(width=200))
    assert "some may be houses it learned from" in capsys.readouterr().out


@pytest.mark.skipif(not RECORDED.is_file(), reason=f"no {RECORDED.name} yet: `make reports` writes it")
def test_the_committed_readme_says_what_the_report_recorded():
    assert_sections_match(PROJECT / "README.md", ROOT / "README.md", RECORDED)


@pytest.mark.skipif(not RECORDED.is_file(), reason=f"no {RECORDED.name} yet: `make reports` writes it")
@pytest.mark.real_data
def test_the_committed_data_section_is_that_of_the_public_file(real_data_dir, monkeypatch):
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(real_data_dir))
    sales = load_sales("full")
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert recorded["data"] == {"source": "full", "sha256": sales.sha256}
    assert read_section(PROJECT / "README.md", "data") == sales.report.as_markdown().strip("\n")


def assert_sections_match(readme: Path, root_readme: Path, recorded: Path) -> None:
    """Write the sections again from the record alone, and compare."""
    told = json.loads(recorded.read_text(encoding="utf-8"))
    trained, ten, steps = told_again(told)
    evaluation = trained.evaluation
    expected = {
        "candidates": candidates_table(trained),
        "ablation": ablation_table(steps),
        "test": table_of_test(trained, ten),
        "groups": groups_table(evaluation.groups),
        "misses": misses_table(evaluation),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_module, "interval_coverage", lambda *_: told["test"]["interval_coverage"]["estimate"])
        patch.setattr(report_module, "mean_interval_width", lambda *_: told["test"]["mean_interval_width"]["estimate"])
        expected["intervals"] = intervals_table(evaluation)
    for name, text in expected.items():
        assert read_section(readme, name) == text.strip("\n"), f"section {name}: run `make reports`"
    assert read_section(root_readme, "housing") == summary_row(trained).strip("\n")


def told_again(told: dict):
    """Return what the tables are made from, built from the record."""

    def intervals(recorded: dict) -> dict[str, Interval]:
        return {name: Interval(**value) for name, value in recorded.items()}

    candidates = {name: SimpleNamespace(name=name, summary=summary) for name, summary in told["candidates"].items()}
    n_test = told["rows"]["test"]
    evaluation = SimpleNamespace(
        metrics=intervals(told["test"]),
        groups=[Group(**group) for group in told["groups"]],
        misses=[Miss(**miss) for miss in told["misses"]],
        width_ratio=told["width_ratio"],
        answers=SimpleNamespace(paid=range(n_test), low=None, high=None),
    )
    trained = SimpleNamespace(
        candidates=candidates,
        chosen=told["chosen"],
        evaluation=evaluation,
        baselines={name: intervals(metrics) for name, metrics in told["baselines"].items()},
        test=SimpleNamespace(frame=range(n_test)),
    )
    return trained, intervals(told["ten_fields"]), [Step(**step) for step in told["ablation"]]
