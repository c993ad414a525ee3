"""The README says what was recorded, and the record is of one training."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from portfolio_shared.evaluation.sections import read_section
from recommender import report as module
from recommender import train as training_module
from recommender.config import AlsSettings, EaseSettings, ModelSettings, ReportConfig, tuned_settings
from recommender.data.load import load
from recommender.data.source import SAMPLE
from recommender.evaluation.candidates import best_servable, describe_settings
from recommender.evaluation.figures import SERVED
from recommender.evaluation.measured import SCALE
from recommender.evaluation.pause import EVEN
from recommender.evaluation.tables import (
    pause_table,
    reliability_table,
    sample_sections,
    sample_tables,
    summary_table,
    tables,
)
from recommender.models.fit import SERVABLE
from recommender.report import SAMPLE_SECTIONS, report

PROJECT = Path(__file__).parents[1]
ROOT = PROJECT.parents[1]
RECORDED = PROJECT / "docs" / "report.json"
SAMPLE_RECORDED = PROJECT / "docs" / "sample.json"
RESULTS = ROOT / "benchmarks" / "results"
BENCHMARK = RESULTS / "recommender.json"
RECORDED_SECTIONS = (
    *("data", "users", "candidates", "ablation", "test", "diversity", "cold-start", "groups", "groups-all"),
    *("pause", "reliability", "toy", "result", "order", "spread", "tastes", "stability"),
)
SECTIONS = (
    *(*RECORDED_SECTIONS, *SAMPLE_SECTIONS, *SCALE),
    *("search", "splits", "grid", "privacy", "large", "serving", "batch"),
)
QUICK = ModelSettings(
    ease=EaseSettings(rank=16, min_raters=2, penalty=20.0), als=AlsSettings(n_factors=4, iterations=2)
)

FEW = {
    "tastes.RESAMPLES": 2,
    "tastes.COUNTS": (2, 3),
    "bias_variance.RESAMPLES": 2,
    "bias_variance.PENALTIES": (10.0, 100.0),
    "order.WINDOWS": (5,),
    "order.LASTS": (2,),
    "order.SHARES": (0.5,),
}
"""Less of the studies than a report has."""


def markers(names) -> str:
    return "\n".join(f"words\n<!-- report:{name} -->\nSTALE\n<!-- /report:{name} -->" for name in names) + "\nend\n"


def cells(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.fixture(scope="module")
def written(write_slice, tmp_path_factory):
    """A whole report from 80 people, into a copy of nothing."""
    folder = tmp_path_factory.mktemp("report")
    data, project = write_slice(folder / "few", 80), folder / "project"
    project.mkdir()
    (project / "README.md").write_text(markers(SECTIONS), encoding="utf-8")
    (folder / "README.md").write_text(markers(["recommender"]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_module, "tuned_settings", lambda path: QUICK)
        for name, value in FEW.items():
            patch.setattr(f"recommender.evaluation.{name}", value)
        config = ReportConfig(data=str(data), project=project, root_readme=folder / "README.md", benchmarks=folder)
        report(config, Console(quiet=True))
    return folder


def test_every_section_is_filled_and_other_words_stay(written):
    text = (written / "project" / "README.md").read_text(encoding="utf-8")
    assert "STALE" not in text
    assert text.count("words") == len(SECTIONS)
    assert text.endswith("end\n")
    assert "films, 80 users of film ratings in few" in read_section(written / "README.md", "recommender")
    assert read_section(written / "project" / "README.md", "splits") == "There is no recommender.json."


@pytest.mark.long
def test_a_report_on_the_sample_writes_its_own_record_and_section_alone(trained, tmp_path, monkeypatch):
    data = replace(trained.data, source=replace(trained.data.source, kind="sample"))
    monkeypatch.setattr(module, "learn", lambda config, console: replace(trained, data=data))
    readme = tmp_path / "README.md"
    readme.write_text(markers([*SAMPLE_SECTIONS, "test"]), encoding="utf-8")
    report(ReportConfig(data="sample", project=tmp_path, root_readme=tmp_path / "none.md"), Console(quiet=True))
    recorded = json.loads((tmp_path / "docs" / "sample.json").read_text(encoding="utf-8"))
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["sample.json"]
    assert read_section(readme, "test") == "STALE"
    assert {name: read_section(readme, name) for name in SAMPLE_SECTIONS} == sample_sections(recorded)
    models, fading, *others = sample_tables(recorded).split("\n\n")
    assert others == [*pause_table(recorded).split("\n\n"), reliability_table(recorded)]
    assert len(cells(models)) == 2 + len(trained.candidates)
    assert [row[0] for row in cells(fading)[2:]] == [
        "recent films count more, as served",
        "all films of a history alike",
        "difference",
    ]


def test_the_committed_readme_says_what_was_recorded_on_the_sample():
    recorded = json.loads(SAMPLE_RECORDED.read_text(encoding="utf-8"))
    assert recorded["data"]["name"] == SAMPLE.name
    expected = tuned_settings().model_dump(mode="json")
    expected["ease"] |= recorded["grid"]["chosen"]
    assert recorded["settings"] == expected
    # What the README claims in words: better than popularity and with recent films counting more, both beyond chance.
    assert recorded["test"][SERVED]["ndcg"]["low"] > recorded["test"]["popularity"]["ndcg"]["high"]
    assert recorded["fading"]["difference"]["low"] > 0
    assert recorded["pause"]["difference"][EVEN]["low"] > 0


def test_after_a_pause_fading_does_harm_on_movielens():
    pause = json.loads(RECORDED.read_text(encoding="utf-8"))["pause"]
    assert pause["difference"][EVEN]["high"] < 0
    assert pause["difference"]["popularity"]["low"] > 0


@pytest.mark.parametrize("path", [RECORDED, SAMPLE_RECORDED])
def test_the_recorded_chances_are_about_what_was_watched(path):
    recorded = json.loads(path.read_text(encoding="utf-8"))
    assert len(recorded["reliability"]) == len(recorded["reliability_listed"]) == 3
    for each in recorded["reliability"] + recorded["reliability_listed"]:
        assert each["error"]["estimate"] < 0.02
        assert each["chance"] == pytest.approx(each["watched"], abs=0.015)


@pytest.mark.parametrize(
    ("data", "written"), [("full", ["sample", "everything"]), ("sample", ["sample"]), ("folder", ["everything"])]
)
def test_a_report_on_the_public_data_begins_with_the_sample(trained, monkeypatch, data, written):
    calls = []

    def learned(config, console):
        source = replace(trained.data.source, kind={"folder": "path"}.get(config.data, config.data))
        return replace(trained, data=replace(trained.data, source=source))

    monkeypatch.setattr(module, "learn", learned)
    for name in ("everything", "sample"):
        monkeypatch.setattr(module, f"report_{name}", lambda config, trained, *_, name=name: calls.append(name))
    report(ReportConfig(data=data), Console(quiet=True))
    assert calls == written


def test_what_is_written_is_what_is_recorded(written):
    recorded = json.loads((written / "project" / "docs" / "report.json").read_text(encoding="utf-8"))
    assert_sections_match(written / "project" / "README.md", recorded)
    assert read_section(written / "README.md", "recommender") == summary_table(recorded)
    assert "NaN" not in json.dumps(recorded)


def test_the_figures_of_the_readme_are_drawn(written):
    names = {path.stem for path in (written / "project" / "docs").glob("*.svg")}
    assert names == {
        *("sittings", "popularity", "steps", "candidates", "long-tail", "diversity", "cold-start", "reliability"),
        *("map", "bias-variance"),
    }
    assert all(path.read_text(encoding="utf-8").lstrip()[:5] == "<?xml" for path in written.rglob("*.svg"))


def test_candidates_stand_from_best_to_worst_and_the_chosen_one_is_marked(written):
    recorded = json.loads((written / "project" / "docs" / "report.json").read_text(encoding="utf-8"))
    rows = cells(tables(recorded)["candidates"])[2:]
    scores = [float(row[1]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert [row[0] for row in rows if row[0].startswith("**")] == [f"**{recorded['chosen']}**"]


def test_no_history_was_read_completely_from_what_can_be_served():
    attacked = json.loads((RESULTS / "recommender_privacy.json").read_text(encoding="utf-8"))
    served = [row for row in attacked["rows"] if row["served"]]
    assert {row["name"].split(":")[0] for row in served} == set(SERVABLE)
    served += [row for row in attacked["sample"]["rows"] if row["served"]]
    assert len(served) == 2 * len(SERVABLE)
    assert all(row["read_completely"] == attacked["limit"] == 0 for row in served)
    # The attack is worth something: it reads what is known to be readable.
    exact = next(row for row in attacked["rows"] if row["name"].startswith("EASE, exact"))
    assert exact["read_completely"] > 0.3


def test_a_million_ratings_were_fitted_and_one_model_was_chosen():
    large = json.loads((RESULTS / "recommender_large.json").read_text(encoding="utf-8"))
    assert large["ratings"] > 1_000_000
    assert (large["users"], large["films"]) == (200_000, 20_000)
    scores = {row["name"]: row["ndcg"] for row in large["models"]}
    assert large["chosen"] == best_servable(scores)
    assert all(row["peak_rss_mb"] >= row["before_fit_mb"] > 0 for row in large["models"])


def test_the_benchmark_reaches_its_limits_and_holds_the_baselines():
    bench = json.loads(BENCHMARK.read_text(encoding="utf-8"))
    assert bench["limits"] == {"time": 0.132, "random": 0.410}
    for split, limit in bench["limits"].items():
        rows = {row["name"]: row for row in bench["rows"] if row["split"] == split}
        (served,) = (row for row in rows.values() if row["served"])
        assert served["ndcg"]["estimate"] >= limit
        assert {"popularity", "user neighbors", "item neighbors", "ALS", "EASE"} <= set(rows)
        assert all(served["ndcg"]["estimate"] >= row["ndcg"]["estimate"] for row in rows.values())
        assert all(row["users"] == 610 for row in rows.values())
        settings = tuned_settings(split)
        assert all(row["settings"] == describe_settings(name, settings) for name, row in rows.items())


@pytest.mark.skipif(not RECORDED.is_file(), reason=f"no {RECORDED.name} yet: `make reports` writes it")
@pytest.mark.real_data
def test_the_committed_data_section_is_that_of_the_public_files(real_data_dir, monkeypatch):
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(real_data_dir))
    data = load("full")
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    expected = {"source": "full", "name": data.name, "sha256": data.sha256, "report": data.report.as_dict()}
    assert recorded["data"] == json.loads(json.dumps(expected))


def assert_sections_match(readme: Path, recorded: dict) -> None:
    """Write the sections again from the record alone, and compare."""
    expected = tables(recorded)
    assert set(expected) == set(RECORDED_SECTIONS)
    for name, text in expected.items():
        assert read_section(readme, name) == text.strip("\n"), f"section {name}: run `make reports`"
