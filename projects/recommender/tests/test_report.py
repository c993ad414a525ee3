import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from portfolio_shared.evaluation.sections import read_section
from recommender import report as report_module
from recommender import train as training_module
from recommender.config import AlsSettings, EaseSettings, ModelSettings, ReportConfig, tuned_settings
from recommender.data.load import load_movielens
from recommender.data.sample import write_sample
from recommender.data.splits import split_by_user_time
from recommender.evaluation import ablation as ablation_module
from recommender.evaluation.ablation import by_group, start_from_nothing, steps_of, turn_knob
from recommender.evaluation.candidates import SERVABLE, Recipe, best_servable, describe_settings
from recommender.evaluation.evaluate import make_task
from recommender.evaluation.figures import TAIL, rated_tail, tail
from recommender.models.history_weights import HistoryWeights
from recommender.models.popularity import Popularity
from recommender.report import evaluate_bundle, measured, report, search_table, studies, summary_row, tables

PROJECT = Path(__file__).parents[1]
ROOT = PROJECT.parents[1]
RECORDED = PROJECT / "docs" / "report.json"
RESULTS = ROOT / "benchmarks" / "results"
BENCHMARK = RESULTS / "recommender.json"
TOLD = ("left-out", "candidates", "ablation", "test", "diversity", "cold-start", "groups")
MEASURED = ("splits", "privacy", "large", "serving")
SECTIONS = ("data", "search", *TOLD, *MEASURED)
QUICK = ModelSettings(
    ease=EaseSettings(rank=16, min_raters=2, penalty=20.0), als=AlsSettings(n_factors=4, iterations=2)
)


def markers(names) -> str:
    return "\n".join(f"words\n<!-- report:{name} -->\nSTALE\n<!-- /report:{name} -->" for name in names) + "\nend\n"


def cells(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A whole report from 80 generated users, into a copy of nothing."""
    folder = tmp_path_factory.mktemp("report")
    data, project = write_sample(folder / "few", n_users=80, n_films=300, mean_ratings=120), folder / "project"
    project.mkdir()
    (project / "README.md").write_text(markers(SECTIONS), encoding="utf-8")
    (folder / "README.md").write_text(markers(["recommender"]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_module, "tuned_settings", lambda: QUICK)
        config = ReportConfig(data=str(data), project=project, root_readme=folder / "README.md", benchmarks=folder)
        report(config, Console(quiet=True))
    return folder


def test_every_section_is_filled_and_a_persons_words_stay(written):
    text = (written / "project" / "README.md").read_text(encoding="utf-8")
    assert "STALE" not in text
    assert text.count("words") == len(SECTIONS)
    assert text.endswith("end\n")
    assert "films, 80 users of film ratings in few" in read_section(written / "README.md", "recommender")
    assert read_section(written / "project" / "README.md", "splits") == "There is no recommender.json here."


def test_what_is_written_is_what_is_recorded(written):
    recorded = json.loads((written / "project" / "docs" / "report.json").read_text(encoding="utf-8"))
    assert_sections_match(written / "project" / "README.md", recorded)
    assert read_section(written / "README.md", "recommender") == summary_row(recorded)
    assert "NaN" not in json.dumps(recorded)


def test_the_figures_of_the_readme_are_drawn(written):
    names = {path.stem for path in (written / "project" / "docs").glob("*.svg")}
    assert names == {"candidates", "ndcg-by-length", "long-tail", "diversity", "cold-start"}
    assert all(path.read_text(encoding="utf-8").lstrip()[:5] == "<?xml" for path in written.rglob("*.svg"))


def test_candidates_stand_from_best_to_worst_and_the_chosen_one_is_marked(written):
    recorded = json.loads((written / "project" / "docs" / "report.json").read_text(encoding="utf-8"))
    rows = cells(tables(recorded)["candidates"])[2:]
    scores = [float(row[1]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert [row[0] for row in rows if row[0].startswith("**")] == [f"**{recorded['chosen']}**"]


def test_the_steps_lead_from_plain_ease_to_the_whole_model():
    steps = list(steps_of(QUICK).values())
    assert (steps[0].ease.rank, steps[0].ease.min_raters, steps[0].ease.genre_weight) == (None, 1, 0)
    assert steps[0].history.half_life_share == steps[0].history.rating_slope == 0
    assert steps[6] == QUICK
    assert len({step.model_dump_json() for step in steps}) == len(steps)


def test_the_knob_starts_at_what_was_measured(trained):
    turns = turn_knob(trained.predictor, trained.task, k=10)
    assert turns[0].ndcg.estimate == trained.evaluation.metrics["ndcg"].estimate
    assert turns[0].coverage == trained.evaluation.coverage
    # All the way up lists are less alike, and worse.
    assert turns[-1].intra_list.estimate > turns[0].intra_list.estimate
    assert turns[-1].ndcg.estimate < turns[0].ndcg.estimate


def test_short_histories_are_of_people_who_were_not_learned_from(sample, monkeypatch):
    """A model that remembers whom it saw, and how long the histories are that it is asked about."""
    monkeypatch.setattr(ablation_module, "HISTORY_LENGTHS", (1, 3))
    split = split_by_user_time(sample.ratings)
    task = make_task(split.before_test, split.test, sample.catalogue, max_users=20)
    fitted, asked = [], []

    class Spy:
        def scores(self, items, weights):
            asked.append(len(items))
            return np.zeros(len(task.catalogue), dtype=np.float32)

    def fit(X):
        fitted.append(np.flatnonzero(X.sum(axis=1)))
        return Spy()

    starts = start_from_nothing(task, Recipe(fit, HistoryWeights()), k=10)
    assert [start.films for start in starts] == [1, 3]
    assert sorted(set(asked)) == [1, 3]
    assert len(fitted) == 5
    # Each of the evaluated users is missing from exactly one fit.
    missing = [user for seen in fitted for user in set(task.users) - set(seen)]
    assert sorted(missing) == sorted(task.users)
    assert starts[0].popularity == starts[1].popularity
    for start in starts:
        assert start.difference.estimate == pytest.approx(start.ndcg.estimate - start.popularity.estimate)
        # Every score is 0, so everybody gets the first films: the interval is that of pairs, not of two samples.
        assert start.difference.low < start.difference.estimate < start.difference.high
    assert starts[0].popularity.estimate > 0


def test_too_few_long_histories_are_refused(sample, monkeypatch):
    monkeypatch.setattr(ablation_module, "HISTORY_LENGTHS", (1, 10_000))
    split = split_by_user_time(sample.ratings)
    task = make_task(split.before_test, split.test, sample.catalogue)
    with pytest.raises(ValueError, match="0 users have 10000 films before the test; expected 5 or more"):
        start_from_nothing(task, Recipe(Popularity, HistoryWeights()), k=10)


def test_groups_cover_everybody_once(trained):
    per_user = trained.evaluation.per_user
    groups = by_group(per_user["ndcg"], per_user["hit_rate"], trained.task)
    for kind in {group.by for group in groups}:
        of_kind = [group for group in groups if group.by == kind]
        assert sum(group.users for group in of_kind) == len(trained.task.users)
        mean = sum(group.users * group.ndcg for group in of_kind) / len(trained.task.users)
        assert mean == pytest.approx(trained.evaluation.metrics["ndcg"].estimate)
    lengths = trained.task.before.user_counts()[trained.task.users]
    short = next(group for group in groups if group.name == "under 30")
    assert short.users == (lengths < 30).sum()
    assert short.ndcg == pytest.approx(per_user["ndcg"][lengths < 30].mean())


def test_a_tail_falls_from_everything(trained):
    for curve in (rated_tail(trained.task), tail(trained.evaluation, trained.task)):
        assert curve[0] == 1
        assert (np.diff(curve) <= 0).all()
    counts = np.sort(trained.task.before.item_counts())[::-1]
    assert len(counts) == 500
    assert TAIL[-1] == 0.1
    assert rated_tail(trained.task)[-1] == pytest.approx(counts[50:].sum() / counts.sum())


def test_popularity_is_all_head(trained):
    """Everybody gets from the most popular films; the served model reaches beyond them."""
    popular = trained.baselines["popularity"].evaluation
    assert tail(popular, trained.task)[-1] < tail(trained.evaluation, trained.task)[-1]


def test_a_bundle_of_other_data_is_said_to_be_one(bundle, tmp_path, capsys):
    other = write_sample(tmp_path / "other", n_users=60, n_films=150, mean_ratings=40, seed=3)
    evaluate_bundle(bundle, str(other), Console(width=200))
    printed = capsys.readouterr().out
    assert "These are not the ratings that the bundle was tested on" in printed
    assert "nDCG@10: " in printed


@pytest.mark.skipif(not RECORDED.is_file(), reason=f"no {RECORDED.name} yet: `make reports` writes it")
def test_the_committed_readme_says_what_the_report_recorded():
    assert_sections_match(PROJECT / "README.md", json.loads(RECORDED.read_text(encoding="utf-8")))


@pytest.mark.parametrize("section", MEASURED)
def test_the_committed_readme_says_what_the_benchmarks_measured(section):
    expected = measured(RESULTS)[section]
    assert not expected.startswith("There is no"), f"the benchmark of section {section} was not run"
    assert read_section(PROJECT / "README.md", section) == expected.strip("\n"), "run `make reports`"


def test_the_committed_readme_says_what_the_search_found():
    text = search_table(studies())
    assert read_section(PROJECT / "README.md", "search") == text, "run `make reports`"
    assert "ALS, history fades" in text


def test_no_history_was_read_completely_from_what_can_be_served():
    attacked = json.loads((RESULTS / "recommender_privacy.json").read_text(encoding="utf-8"))
    served = [row for row in attacked["rows"] if row["served"]]
    assert {row["name"].split(":")[0] for row in served} == set(SERVABLE)
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


def test_the_benchmark_reaches_its_limits_and_holds_the_peers():
    bench = json.loads(BENCHMARK.read_text(encoding="utf-8"))
    assert bench["limits"] == {"time": 0.132, "random": 0.410}
    for split, limit in bench["limits"].items():
        rows = {row["name"]: row for row in bench["rows"] if row["split"] == split}
        (served,) = (row for row in rows.values() if row["served"])
        assert served["ndcg"]["estimate"] >= limit
        assert {"popularity", "user neighbours", "item neighbours", "ALS", "EASE"} <= set(rows)
        assert all(served["ndcg"]["estimate"] >= row["ndcg"]["estimate"] for row in rows.values())
        assert all(row["users"] == 610 for row in rows.values())
        settings = tuned_settings(split)
        assert all(row["settings"] == describe_settings(name, settings) for name, row in rows.items())


@pytest.mark.skipif(not RECORDED.is_file(), reason=f"no {RECORDED.name} yet: `make reports` writes it")
@pytest.mark.real_data
def test_the_committed_data_section_is_that_of_the_public_files(real_data_dir, monkeypatch):
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(real_data_dir))
    data = load_movielens("full")
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert recorded["data"] == {"source": "full", "name": data.name, "sha256": data.sha256}
    assert read_section(PROJECT / "README.md", "data") == data.movielens.report.as_markdown().strip("\n")


def test_results_that_are_not_there_are_named(tmp_path):
    serving = {
        "timings": [{"name": "healthz", "median": 338.0, "p95": 417.6, "ratio": 1.0}],
        "measured": {"ready_seconds": 0.76, "resident_mb": 83.0},
    }
    (tmp_path / "recommender_serving.json").write_text(json.dumps(serving))
    found = measured(tmp_path)
    assert found["splits"] == "There is no recommender.json here."
    assert "| healthz | 338 | 418 | 1.0 |" in found["serving"]
    assert "Ready 0.8 s after its start; 83 MB resident." in found["serving"]
    assert report_module.SPLIT_LABELS.keys() == {"time", "date", "random"}


def assert_sections_match(readme: Path, recorded: dict) -> None:
    """Write the sections again from the record alone, and compare."""
    expected = tables(recorded)
    assert set(expected) == set(TOLD)
    for name, text in expected.items():
        assert read_section(readme, name) == text.strip("\n"), f"section {name}: run `make reports`"
