"""Write the README's tables and figures from one training: nothing in them is typed by hand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from portfolio_shared.bundle import read_manifest
from portfolio_shared.evaluation import figures
from portfolio_shared.evaluation.sections import fill_sections, markdown_table, serving_table, with_interval
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval
from portfolio_shared.terminal import progress
from recommender.config import MODEL_NAME, TUNED, ReportConfig, TrainConfig
from recommender.data.load import load_movielens
from recommender.data.splits import split_by_user_time
from recommender.evaluation.ablation import (
    DIVERSITIES,
    FOLDS,
    HISTORY_LENGTHS,
    Group,
    Start,
    Step,
    Turn,
    ablate,
    by_group,
    start_from_nothing,
    steps_of,
    turn_knob,
)
from recommender.evaluation.candidates import by_score, recipes
from recommender.evaluation.evaluate import METRIC_LABELS, Evaluation, accuracy, make_task, recommend_all
from recommender.evaluation.figures import draw
from recommender.models.predictor import Predictor
from recommender.train import Trained, evaluations, learn, who_is_left_out

SPLIT_LABELS = {"time": "each user's last 20 % by time", "date": "one date for everyone", "random": "random 25 %"}


def report(config: ReportConfig, console: Console | None = None) -> None:
    """Train, take the model apart, and write `docs/` and the marked sections of the READMEs."""
    console = console or Console()
    trained = learn(TrainConfig(data=config.data, dataset=config.dataset, tracking_uri="", seed=config.seed), console)
    k, split, settings = trained.evaluation.k, trained.split, trained.settings
    validation = make_task(split.train, split.validation, trained.data.movielens.catalogue)
    with progress(console, "ablation", total=len(steps_of(settings))) as advance:
        steps = ablate(validation, settings, k=k, seed=config.seed, advance=advance)
    with progress(console, "diversity", total=len(DIVERSITIES)) as advance:
        turns = turn_knob(trained.predictor, trained.task, k=k, advance=advance)
    recipe = recipes(settings, split.before_test, trained.task.catalogue, seed=config.seed)[trained.chosen]
    with progress(console, "cold start", total=FOLDS * (1 + len(HISTORY_LENGTHS))) as advance:
        starts = start_from_nothing(trained.task, recipe, k=k, seed=config.seed, advance=advance)
    per_user = trained.evaluation.per_user
    groups = by_group(per_user["ndcg"], per_user["hit_rate"], trained.task)

    docs = config.project / "docs"
    draw(trained.task, trained.candidates, {trained.chosen: trained.evaluation, **evaluations(trained)}, docs)
    figures.save_figure(draw_knob(turns, k), docs / "diversity.svg")
    figures.save_figure(draw_start(starts, k), docs / "cold-start.svg")
    recorded = record(trained, steps, turns, starts, groups)
    (docs / "report.json").write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    sections = {**tables(recorded), **measured(config.benchmarks), "search": search_table(studies())}
    fill_sections(config.project / "README.md", {"data": trained.data.movielens.report.as_markdown(), **sections})
    fill_sections(config.root_readme, {"recommender": summary_row(recorded)})
    console.print(f"Written: {docs}, {config.project / 'README.md'} and {config.root_readme}")


def record(
    trained: Trained, steps: Sequence[Step], turns: Sequence[Turn], starts: Sequence[Start], groups: Sequence[Group]
) -> dict[str, Any]:
    """Return everything the README states, as JSON types."""
    tested = {"served model": trained.evaluation, **evaluations(trained)}
    return {
        "data": {"source": trained.data.source.kind, "name": trained.data.name, "sha256": trained.data.sha256},
        "left_out": who_is_left_out(trained.split, trained.task),
        "test_split_sha256": trained.task.digest,
        "k": trained.evaluation.k,
        "chosen": trained.chosen,
        "settings": trained.settings.model_dump(mode="json"),
        "candidates": {candidate.name: candidate.summary for candidate in by_score(trained.candidates)},
        "test": {name: _measures(evaluation) for name, evaluation in tested.items()},
        "ablation": [{"name": step.name, "ndcg": step.ndcg._asdict()} for step in steps],
        "diversity": [
            {
                "diversity": turn.diversity,
                "ndcg": turn.ndcg._asdict(),
                "intra_list": turn.intra_list._asdict(),
                "coverage": turn.coverage,
            }
            for turn in turns
        ],
        "cold_start": [
            {
                "films": start.films,
                "ndcg": start.ndcg._asdict(),
                "popularity": start.popularity._asdict(),
                "difference": start.difference._asdict(),
            }
            for start in starts
        ],
        "groups": [asdict(group) for group in groups],
    }


def _measures(evaluation: Evaluation) -> dict[str, Any]:
    intervals = {name: interval._asdict() for name, interval in evaluation.metrics.items()}
    return {**intervals, "coverage": evaluation.coverage}


def tables(told: Mapping[str, Any]) -> dict[str, str]:
    """Return the project README's marked sections from what was recorded."""
    k = told["k"]
    return {
        "left-out": markdown_table(
            ["each user's last 20 %", "number"], [[a, f"{n:,}"] for a, n in told["left_out"].items()]
        ),
        "candidates": candidates_table(told["candidates"], told["chosen"], k),
        "ablation": markdown_table(
            ["step", f"nDCG@{k} on validation"], [[step["name"], _cell(step["ndcg"])] for step in told["ablation"]]
        ),
        "test": test_table(told["test"], k),
        "diversity": markdown_table(
            ["diversity", f"nDCG@{k}", "diversity of genres", "share of films recommended"],
            [
                [f"{turn['diversity']:g}", _cell(turn["ndcg"]), _cell(turn["intra_list"]), f"{turn['coverage']:.3f}"]
                for turn in told["diversity"]
            ],
        ),
        "cold-start": markdown_table(
            ["films in the history", f"nDCG@{k}", "popularity, same people", "difference, paired"],
            [
                [str(s["films"]), _cell(s["ndcg"]), _cell(s["popularity"]), _cell(s["difference"])]
                for s in told["cold_start"]
            ],
        ),
        "groups": markdown_table(
            ["people of the test", "number", f"nDCG@{k}", "hit rate"],
            [
                [f"{g['by']}: {g['name']}", str(g["users"]), f"{g['ndcg']:.3f}", f"{g['hit_rate']:.0%}"]
                for g in told["groups"]
            ],
        ),
    }


def _cell(interval: Mapping[str, float]) -> str:
    return with_interval(Interval(**interval))


def candidates_table(candidates: Mapping[str, Mapping[str, float]], chosen: str, k: int) -> str:
    """Return the candidates on the validation part, the best first."""
    rows = [
        [
            f"**{name}**" if name == chosen else name,
            f"{row['ndcg']:.4f}",
            f"{row['fit_seconds']:.2f}",
            f"{row['fit_megabytes']:,.0f}",
            f"{row['model_megabytes']:,.1f}",
            f"{row['score_milliseconds']:.2f}",
        ]
        for name, row in candidates.items()
    ]
    return markdown_table(["candidate", f"nDCG@{k}", "fit, s", "fit, MB", "model, MB", "scoring, ms"], rows)


def test_table(tested: Mapping[str, Mapping[str, Any]], k: int) -> str:
    """Return the test metrics, the served model's with intervals and the baselines' beside them."""
    served, *others = tested
    rows = []
    for metric, label in METRIC_LABELS.items():
        if metric == "coverage":
            cells = [f"{tested[name][metric]:.3f}" for name in tested]
        else:
            cells = [_cell(tested[served][metric]), *(f"{tested[name][metric]['estimate']:.3f}" for name in others)]
        rows.append([label.format(k=k), *cells])
    return markdown_table(["test", *tested], rows)


def studies() -> dict[str, Any]:
    """Return what `recommender tune` recorded for each split."""
    stored = json.loads(files("recommender").joinpath(TUNED).read_text(encoding="utf-8"))
    return {split: part["study"] for split, part in stored.items()}


def search_table(studied: Mapping[str, Any]) -> str:
    """Return what the search for settings found, and what of it is not used."""
    rows = [
        [
            f"{SPLIT_LABELS[split]}: {name}",
            str(fits),
            f"{study['first'][name]:.4f}",
            f"{study['best'][name]:.4f}",
            ", ".join(f"{setting} {value:g}" for setting, value in study["changed"][name].items()) or "none",
            "no" if name in study["borrowed"] else "yes",
        ]
        for split, study in studied.items()
        for name, fits in study["fits"].items()
    ]
    headings = ["validation of", "fits", "nDCG@10, settings in use", "nDCG@10, best", "better settings", "taken"]
    return markdown_table(headings, rows)


def measured(results: Path) -> dict[str, str]:
    """Return the sections that state what `make bench-recommender` measured last; a file that is missing is named."""
    found = {}
    for section, name, table in (
        ("splits", "recommender.json", splits_table),
        ("privacy", "recommender_privacy.json", privacy_table),
        ("large", "recommender_large.json", large_table),
        ("serving", "recommender_serving.json", serving_table),
    ):
        path = results / name
        there = path.is_file()
        found[section] = table(json.loads(path.read_text(encoding="utf-8"))) if there else f"There is no {name} here."
    return found


def splits_table(bench: Mapping[str, Any]) -> str:
    """Return the peers' table on the three splits."""
    parts = []
    for split, label in SPLIT_LABELS.items():
        rows = [row for row in bench["rows"] if row["split"] == split]
        if not rows:
            continue
        cells = [
            [
                str(row["name"]),
                _cell(row["ndcg"]),
                _cell(row["recall"]),
                _cell(row["hit_rate"]),
                f"{row['fit_seconds']:.2f}",
                _cell(row["served_minus_this"]) if "served_minus_this" in row else "",
                str(row["settings"]),
            ]
            for row in rows
        ]
        k = bench["k"]
        headings = [
            f"{label}, {rows[0]['users']} users",
            f"nDCG@{k}",
            f"recall@{k}",
            f"hit rate@{k}",
            "fit, s",
            "nDCG: served - this",
            "settings",
        ]
        parts.append(markdown_table(headings, cells))
    return "\n\n".join(parts)


def privacy_table(attacked: Mapping[str, Any]) -> str:
    """Return what the two attacks find in each model, and how many people rated a film alone."""
    rows = [
        [
            f"**{row['name']}**" if row["served"] else row["name"],
            str(row["n_read"]),
            f"{row['read_completely']:.1%}",
            f"{row['read_nearly']:.1%}",
            f"{row['share_read']:.2f}",
            f"{row['filled_in_members']:.2f}",
            f"{row['filled_in_strangers']:.2f}",
        ]
        for row in attacked["rows"]
    ]
    headings = [
        f"{attacked['members']} people learned from, {attacked['strangers']} not",
        "histories to read",
        "read completely",
        "to over 90 %",
        "share read, mean",
        "other half, learned from",
        "other half, not",
    ]
    alone = f"{attacked['rated_a_film_alone']:.0%} of the people learned from rated a film that none of the others did."
    return f"{markdown_table(headings, rows)}\n\n{alone}"


def large_table(large: Mapping[str, Any]) -> str:
    """Return what each model costs on generated data of the stated size, and the times of the rest."""
    rows = [
        [
            f"**{row['name']}**" if row["name"] == large["chosen"] else row["name"],
            f"{row['fit_seconds']:,.1f}",
            f"{row['fit_cpu_seconds']:,.1f}",
            f"{row['peak_rss_mb']:,.0f}",
            f"{row['before_fit_mb']:,.0f}",
            f"{row['ndcg']:.3f}",
        ]
        for row in large["models"]
    ]
    sizes = f"{large['ratings']:,} ratings, {large['users']:,} people, {large['films']:,} films"
    headings = [
        sizes,
        "fit, s",
        "of the processor",
        "peak memory, MB",
        "before the fit, MB",
        f"nDCG@{large['k']} on validation",
    ]
    others = [
        [row["name"], f"{row['seconds']:,.1f}", f"{row['cpu_seconds']:,.1f}", f"{row['peak_rss_mb']:,.0f}"]
        for row in large["others"]
    ]
    words = [*(f"Not fitted: {said}." for said in large["left_out"]), f"Chosen: {large['why']}."]
    rest = markdown_table(["the rest", "seconds", "of the processor", "peak memory, MB"], others)
    return "\n\n".join([markdown_table(headings, rows), *words, rest])


def summary_row(told: Mapping[str, Any]) -> str:
    """Return the root README's table of this project: the model beside its baselines."""
    served, *others = told["test"]
    others.sort(key=lambda name: -told["test"][name]["ndcg"]["estimate"])
    rows = [[name, _cell(told["test"][name]["ndcg"])] for name in (served, *others)]
    users = told["left_out"]["users evaluated"]
    return markdown_table(
        [f"films, {users} users of {told['data']['name']}", f"nDCG@{told['k']} (95 % interval)"], rows
    )


def draw_knob(turns: Sequence[Turn], k: int) -> Figure:
    """Draw quality, and the share of films that is recommended, as the knob turns."""
    estimate, low, high = np.array([turn.ndcg for turn in turns]).T
    coverage = [turn.coverage for turn in turns]
    return figures.line_with_band(
        [turn.diversity for turn in turns],
        {f"nDCG@{k}": (estimate, low, high), "share of films recommended": (coverage, coverage, coverage)},
        xlabel="Diversity knob",
        ylabel="nDCG, and share of all films",
        title="Accuracy and coverage as the diversity knob turns",
    )


def draw_start(starts: Sequence[Start], k: int) -> Figure:
    """Draw quality against the length of a history, for people the model has never seen."""

    def band(intervals: Sequence[Interval]) -> tuple[list[float], list[float], list[float]]:
        return [one.estimate for one in intervals], [one.low for one in intervals], [one.high for one in intervals]

    return figures.line_with_band(
        [start.films for start in starts],
        {
            "served model": band([start.ndcg for start in starts]),
            "popularity": band([start.popularity for start in starts]),
        },
        xlabel="Films in the history of somebody who was not in the training data",
        ylabel=f"nDCG@{k}",
        title="A handful of films is enough to beat popularity",
    )


def evaluate_bundle(bundle: Path, data: str, console: Console | None = None, *, dataset: str = "latest-small") -> None:
    """Print the metrics of a bundle on the frozen test of these data."""
    console = console or Console()
    described = read_manifest(bundle, project=MODEL_NAME)
    loaded = load_movielens(data, dataset=dataset)
    console.print(loaded.source.reason)
    split = split_by_user_time(loaded.movielens.ratings)
    k, max_users, seed = (int(str(described.config[name])) for name in ("k", "max_users", "seed"))
    task = make_task(split.before_test, split.test, loaded.movielens.catalogue, max_users=max_users, seed=seed)
    if task.digest != described.data.test_split_sha256:
        console.print("These are not the ratings that the bundle was tested on: it may have learned from some of them.")
    for name, values in accuracy(recommend_all(Predictor.load(bundle), task), task, k=k).items():
        interval = bootstrap_interval(np.mean, values, seed=seed)
        console.print(f"{METRIC_LABELS[name].format(k=k)}: {with_interval(interval)}")
