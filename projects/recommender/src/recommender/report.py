"""Write the README's tables and figures from one training: nothing in them is typed by hand.

A report on the public data ends with the section on the sample that ships; `recommender report --data sample` writes
that section and no other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from portfolio_shared.data.checks import stored_report
from portfolio_shared.evaluation.documents import Contents, documents_of, fill_documents, refill, write_report
from portfolio_shared.evaluation.figures import save_figure
from portfolio_shared.evaluation.sections import (
    interval_cell,
    markdown_table,
    measured_sections,
)
from portfolio_shared.evaluation.tables import Column, candidate_rows
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.terminal import progress
from recommender.config import MODEL_NAME, ReportConfig, TrainConfig
from recommender.evaluation.ablation import Step, ablate, measure_fading, steps_of
from recommender.evaluation.candidates import COLUMNS
from recommender.evaluation.cold_start import FOLDS, HISTORY_LENGTHS, ColdStart, measure_cold_start
from recommender.evaluation.diversity import DIVERSITIES, DiversityPoint, diversity_curve
from recommender.evaluation.errors import by_group
from recommender.evaluation.evaluate import METRIC_LABELS, Evaluation
from recommender.evaluation.figures import SERVED, draw, draw_cold_start, draw_diversity, draw_reliability
from recommender.evaluation.measured import benchmarked, named_table, search_table, studies
from recommender.evaluation.pause import measure_after_pause
from recommender.evaluation.reliability import measure_reliability
from recommender.models.chance import LISTED
from recommender.models.fit import recipes
from recommender.train import Trained, learn, metrics_of, user_counts

HIT_RATE = Column("hit_rate", "hit rate", ".0%")


def report(config: ReportConfig, console: Console | None = None) -> None:
    """Train, take the model apart, and write `docs/` and the marked sections of the READMEs."""
    console = console or Console(markup=False)
    if config.refill:
        console.print(refill(config, MODEL_NAME, contents))
        return
    training = TrainConfig(data=config.data, dataset=config.dataset, tracking_uri="", seed=config.seed)
    trained = learn(training, console)
    kind = trained.data.source.kind
    if kind != "sample":
        console.print(report_everything(config, trained, console))
    if kind == "full":
        trained = learn(training.model_copy(update={"data": "sample"}), console)
    if kind != "path":
        console.print(report_sample(config, trained))


def report_everything(config: ReportConfig, trained: Trained, console: Console) -> str:
    """Write `docs/report.json`, the figures and all sections; return the line that says so."""
    parts, settings, evaluation = trained.split, trained.settings, trained.evaluation
    k, task = evaluation.k, evaluation.task
    with progress(console, "ablation", total=len(steps_of(settings))) as advance:
        steps = ablate(parts, settings, k=k, seed=config.seed, advance=advance)
    with progress(console, "diversity", total=len(DIVERSITIES)) as advance:
        points = diversity_curve(trained.predictor, evaluation, advance=advance)
    recipe = recipes(settings, parts.before_test, task.catalogue, seed=config.seed)[trained.chosen]
    with progress(console, "cold start", total=FOLDS * (1 + len(HISTORY_LENGTHS))) as advance:
        starts = measure_cold_start(task, recipe, k=k, seed=config.seed, advance=advance)

    docs = config.project / "docs"
    draw(evaluation, trained.candidates, docs)
    save_figure(draw_diversity(points, k), docs / "diversity.svg")
    save_figure(draw_cold_start(starts, k), docs / "cold-start.svg")
    recorded = {**record(trained, steps, points, starts), **record_checks(trained, seed=config.seed)}
    save_figure(draw_reliability(recorded["reliability"]), docs / "reliability.svg")
    return write_report(config, MODEL_NAME, recorded, contents(recorded, config.benchmarks, docs))


def contents(recorded: Mapping[str, Any], results: Path, docs: Path) -> Contents:
    """Return what the documents state of what was recorded."""
    return Contents({**tables(recorded), **measured(results, docs)}, numbers(recorded), summary_table(recorded))


def numbers(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return the numbers that prose names."""
    return {"ndcg": f"{recorded['test'][SERVED]['ndcg']['estimate']:.3f}"}


def report_sample(config: ReportConfig, trained: Trained) -> str:
    """Write `docs/sample.json` and the README's section on the sample; return the line that says so."""
    evaluation, docs = trained.evaluation, config.project / "docs"
    recorded = {
        "data": {"name": trained.data.name, "sha256": trained.data.sha256},
        "users": len(evaluation.task.users),
        "k": evaluation.k,
        "chosen": trained.chosen,
        "settings": trained.settings.model_dump(mode="json"),
        "test": {name: record_lists(model) for name, model in {SERVED: evaluation, **evaluation.baselines}.items()},
        "fading": as_json(vars(measure_fading(trained.predictor, evaluation, seed=config.seed))),
        **record_checks(trained, seed=config.seed),
    }
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "sample.json").write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    changed = fill_documents(documents_of(config.project), {"sample": sample_tables(recorded)})
    return f"Written: {', '.join(map(str, [docs / 'sample.json', *changed]))}"


def measured(results: Path, docs: Path) -> dict[str, str]:
    """Return the sections that other commands measured; a file that is missing is named."""
    sample = measured_sections({"sample": (docs / "sample.json", sample_tables)})
    return {**benchmarked(results), "search": search_table(studies()), **sample}


def sample_tables(recorded: Mapping[str, Any]) -> str:
    """Return the section on the sample: the models, what fading is worth, a test after a pause, the chances."""
    k, fading = recorded["k"], recorded["fading"]
    rows = [
        [name, interval_cell(metrics["ndcg"]), *(f"{metrics[name]['estimate']:.3f}" for name in ("recall", "hit_rate"))]
        for name, metrics in ranked(recorded["test"])
    ]
    title = f"{recorded['data']['name']}: {recorded['users']:,} people"
    models = markdown_table([title, *(f"{metric}@{k}" for metric in ("nDCG", "recall", "hit rate"))], rows)
    names = {
        "fading": "a fading history, as served",
        "even": "all films of a history alike",
        "difference": "difference",
    }
    compared = [[name, interval_cell(fading[key])] for key, name in names.items()]
    fading_table = markdown_table([recorded["chosen"], f"nDCG@{k}"], compared)
    return "\n\n".join([models, fading_table, pause_table(recorded), reliability_table(recorded)])


def ranked(tested: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the served model, then its baselines from best to worst."""
    served, *others = tested.items()
    return [served, *sorted(others, key=lambda item: -item[1]["ndcg"]["estimate"])]


def record(
    trained: Trained, steps: Sequence[Step], points: Sequence[DiversityPoint], starts: Sequence[ColdStart]
) -> dict[str, Any]:
    """Return everything the README states, as JSON types."""
    data, evaluation = trained.data, trained.evaluation
    tested = {SERVED: evaluation, **evaluation.baselines}
    return {
        "data": {
            "source": data.source.kind,
            "name": data.name,
            "sha256": data.sha256,
            "report": data.report.as_dict(),
        },
        "users": user_counts(trained.split, len(evaluation.task.users)),
        "test_split_sha256": evaluation.task.digest,
        "k": evaluation.k,
        "chosen": trained.chosen,
        "settings": trained.settings.model_dump(mode="json"),
        "candidates": metrics_of(trained.candidates),
        "test": {name: record_lists(model) for name, model in tested.items()},
        "ablation": [as_json(vars(step)) for step in steps],
        "diversity": [as_json(vars(point)) for point in points],
        "cold_start": [as_json(vars(start)) for start in starts],
        "groups": [asdict(group) for group in by_group(evaluation)],
    }


def record_checks(trained: Trained, *, seed: int) -> dict[str, Any]:
    """Return what is measured on every data set beside the test itself: after a pause, and how true the chances are."""
    data, evaluation, fitted = trained.data, trained.evaluation, trained.candidates[trained.chosen].model
    pause = measure_after_pause(
        data.ratings, data.catalogue, trained.settings, trained.chosen, k=evaluation.k, seed=seed
    )
    reliability, listed = (
        measure_reliability(trained.predictor, fitted, trained.split, evaluation.task.users, k=k, seed=seed)
        for k in (evaluation.k, LISTED)
    )
    return {
        "grid": trained.details.get("grid"),
        "pause": {**vars(pause), "ndcg": as_json(pause.ndcg), "difference": as_json(pause.difference)},
        "reliability": [as_json(vars(each)) for each in reliability],
        "reliability_listed": [as_json(vars(each)) for each in listed],
    }


def record_lists(evaluation: Evaluation) -> dict[str, Any]:
    """Return the metrics without the length of the lists in their names, and the coverage, which has no interval."""
    return as_json({**{name: evaluation.metric(name) for name in evaluation.per_user}, "coverage": evaluation.coverage})


def as_json(metrics: Mapping[str, object]) -> dict[str, Any]:
    """Return metrics with their intervals as JSON types; what has no interval stays."""
    return {name: value._asdict() if isinstance(value, Interval) else value for name, value in metrics.items()}


def tables(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return the project README's marked sections from what was recorded."""
    k, cell = recorded["k"], interval_cell
    users = [[label, f"{number:,}"] for label, number in recorded["users"].items()]
    steps = [[step["name"], cell(step["ndcg"])] for step in recorded["ablation"]]
    points = [
        [f"{point['diversity']:g}", cell(point["ndcg"]), cell(point["intra_list"]), f"{point['coverage']:.3f}"]
        for point in recorded["diversity"]
    ]
    starts = [
        [str(start["films"]), cell(start["ndcg"]), cell(start["popularity"]), cell(start["difference"])]
        for start in recorded["cold_start"]
    ]
    groups = [group | {"name": f"{group['by']}: {group['name']}"} for group in recorded["groups"]]
    group_columns = (Column("users", "number", "d"), Column("ndcg", f"nDCG@{k}", ".3f"), HIT_RATE)
    candidates = candidate_rows(recorded["candidates"], COLUMNS, chosen=recorded["chosen"])
    start_headings = ["films in the history", f"nDCG@{k}", "popularity, same people", "difference, paired"]
    point_headings = ["diversity", f"nDCG@{k}", "diversity of genres", "share of films recommended"]
    return {
        "data": stored_report(recorded["data"]["report"]).as_markdown(),
        "users": markdown_table(["each user's last 20 %", "number"], users),
        "candidates": markdown_table(*candidates),
        "ablation": markdown_table(["step", f"nDCG@{k} on validation"], steps),
        "test": test_table(recorded["test"], k),
        "diversity": markdown_table(point_headings, points),
        "cold-start": markdown_table(start_headings, starts),
        "groups": named_table("people of the test", groups, group_columns),
        "pause": pause_table(recorded),
        "reliability": reliability_table(recorded),
    }


def pause_table(recorded: Mapping[str, Any]) -> str:
    """Return the models beside each other on a test that begins a day after the last film, and who is not in it."""
    pause = recorded["pause"]
    rows = [
        [name, interval_cell(ndcg), interval_cell(pause["difference"][name]) if name in pause["difference"] else ""]
        for name, ndcg in pause["ndcg"].items()
    ]
    headings = [f"a day or more before the test, {pause['users']:,} users", f"nDCG@{recorded['k']}"]
    table = markdown_table([*headings, "difference: served model minus this"], rows)
    label, number = next(iter(pause["excluded"].items()))
    return f"{table}\n\nNot in it: {number:,} {label}."


def reliability_table(recorded: Mapping[str, Any]) -> str:
    """Return how true the chances are, by what is known of a person: of the first films, and of all that have one."""
    rows = [
        [
            f"{each['histories']}, {each['users']:,} users",
            films,
            f"{each['chance']:.1%}",
            f"{each['watched']:.1%}",
            interval_cell(each["error"]),
            f"{each['error_by_place']:.3f}",
            interval_cell(each["skill"]),
        ]
        for films, name in ((f"first {recorded['k']}", "reliability"), (f"first {LISTED}", "reliability_listed"))
        for each in recorded[name]
    ]
    headings = ["known of a person", "films", "chance, mean", "watched", "calibration error"]
    return markdown_table([*headings, "the same, share of each place", "squared error saved"], rows)


def test_table(tested: Mapping[str, Mapping[str, Any]], k: int) -> str:
    """Return the test metrics, the served model's with intervals and the baselines' beside them."""
    served, *others = tested
    rows = []
    for metric, label in METRIC_LABELS.items():
        if metric == "coverage":
            cells = [f"{tested[name][metric]:.3f}" for name in tested]
        else:
            estimates = [f"{tested[name][metric]['estimate']:.3f}" for name in others]
            cells = [interval_cell(tested[served][metric]), *estimates]
        rows.append([label.format(k=k), *cells])
    return markdown_table(["test", *tested], rows)


def summary_table(recorded: Mapping[str, Any]) -> str:
    """Return the root README's table of this project: the model beside its baselines."""
    rows = [[name, interval_cell(metrics["ndcg"])] for name, metrics in ranked(recorded["test"])]
    title = f"films, {recorded['users']['users evaluated']} users of {recorded['data']['name']}"
    return markdown_table([title, f"nDCG@{recorded['k']} (95 % interval)"], rows)
