"""Write the documents' tables, numbers and figures from one training: nothing in them is typed by hand.

A report on the public data begins with the sections on the sample that ships; `recommender report --data sample` writes
those sections and no other.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from portfolio_shared.evaluation.documents import Contents, documents_of, fill_documents, refill, write_report
from portfolio_shared.evaluation.figures import save_figure
from portfolio_shared.evaluation.sections import measured_sections
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.terminal import progress
from recommender.config import MODEL_NAME, ReportConfig, TrainConfig
from recommender.data.explore import describe, explore
from recommender.evaluation import stated, stated_benchmarks
from recommender.evaluation.ablation import Step, ablate, measure_alike, measure_fading, steps_of
from recommender.evaluation.bias_variance import RESAMPLES, measure_spread
from recommender.evaluation.cold_start import FOLDS, HISTORY_LENGTHS, ColdStart, measure_cold_start
from recommender.evaluation.diversity import DIVERSITIES, DiversityPoint, diversity_curve
from recommender.evaluation.errors import by_group
from recommender.evaluation.evaluate import Evaluation, leads
from recommender.evaluation.figures import SERVED, draw, draw_cold_start, draw_diversity, draw_reliability
from recommender.evaluation.measured import benchmarked, search_table, studies
from recommender.evaluation.order import measure_order
from recommender.evaluation.pause import measure_after_pause
from recommender.evaluation.reliability import measure_reliability
from recommender.evaluation.study_figures import draw_bias_variance, draw_map, draw_steps
from recommender.evaluation.tables import sample_sections, summary_table, tables
from recommender.evaluation.tastes import RESAMPLES as DRAWS
from recommender.evaluation.tastes import find_tastes, taste_groups
from recommender.evaluation.worst import most_confident_miss
from recommender.models.chance import LISTED
from recommender.models.fit import POPULARITY, recipes
from recommender.train import PROJECT, Trained, learn, metrics_of, user_counts

SAMPLE_SECTIONS = ("sample", "order-sample", "miss")


def report(config: ReportConfig, console: Console | None = None) -> None:
    """Train, take the model apart, and write `docs/` and the marked sections of the documents."""
    console = console or Console(markup=False)
    if config.refill:
        console.print(refill(config, MODEL_NAME, contents))
        return
    training = TrainConfig(data=config.data, dataset=config.dataset, tracking_uri="", seed=config.seed)
    trained = learn(training, console)
    kind = trained.data.source.kind
    if kind == "full":  # first, because the documents also name what was measured on the sample
        console.print(report_sample(config, learn(training.model_copy(update={"data": "sample"}), console)))
    console.print(report_sample(config, trained) if kind == "sample" else report_everything(config, trained, console))


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
    explore(trained.data, docs)
    recorded = {
        **record(trained, steps, points, starts),
        **record_checks(trained, seed=config.seed),
        **record_studies(trained, docs, console, seed=config.seed),
    }
    popularity = recorded["candidates"][POPULARITY]["ndcg"]
    for name, figure in {
        "steps": draw_steps(recorded["ablation"], popularity, k),
        "diversity": draw_diversity(points, k),
        "cold-start": draw_cold_start(starts, k),
        "reliability": draw_reliability(recorded["reliability"]),
        "bias-variance": draw_bias_variance(recorded["spread"], recorded["settings"]["ease"]["penalty"]),
    }.items():
        save_figure(figure, docs / f"{name}.svg")
    return write_report(config, MODEL_NAME, recorded, contents(recorded, config.benchmarks, docs))


def contents(recorded: Mapping[str, Any], results: Path, docs: Path) -> Contents:
    """Return what the documents state of what was recorded."""
    named = {**numbers(recorded), **stated.of_sample(docs / "sample.json"), **stated_benchmarks.of_benchmarks(results)}
    return Contents({**tables(recorded), **measured(results, docs)}, named, summary_table(recorded))


def numbers(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return the numbers that prose names."""
    return {**stated.of_report(recorded), "retrain_margin": f"{PROJECT.margin:g}"}


def report_sample(config: ReportConfig, trained: Trained) -> str:
    """Write `docs/sample.json` and the sections on the sample; return the line that says so."""
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
        **record_order(trained, seed=config.seed),
        "explored": describe(trained.data.ratings),
        "miss": vars(most_confident_miss(trained.predictor, evaluation)),
    }
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "sample.json").write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    changed = fill_documents(documents_of(config.project), sample_sections(json.loads(json.dumps(recorded))))
    return f"Written: {', '.join(map(str, [docs / 'sample.json', *changed]))}"


def measured(results: Path, docs: Path) -> dict[str, str]:
    """Return the sections that other commands measured; a file that is missing is named."""
    sample = {name: (docs / "sample.json", partial(_of_sample, name)) for name in SAMPLE_SECTIONS}
    return {**benchmarked(results), "search": search_table(studies()), **measured_sections(sample)}


def _of_sample(name: str, recorded: Mapping[str, Any]) -> str:
    return sample_sections(recorded)[name]


def record(
    trained: Trained, steps: Sequence[Step], points: Sequence[DiversityPoint], starts: Sequence[ColdStart]
) -> dict[str, Any]:
    """Return everything the documents state, as JSON types."""
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
        "leads": {name: as_json(metrics) for name, metrics in leads(evaluation).items()},
        "alike": as_json(vars(measure_alike(evaluation, trained.settings))),
        "ablation": [as_json(vars(step)) for step in steps],
        "diversity": [as_json(vars(point)) for point in points],
        "cold_start": [as_json(vars(start)) for start in starts],
        "groups": [as_json(vars(group)) for group in by_group(evaluation)],
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


def record_studies(trained: Trained, docs: Path, console: Console, *, seed: int) -> dict[str, Any]:
    """Return what the ratings look like, how far order alone gets, the groups of films, and bias and variance."""
    task, ease = trained.evaluation.task, trained.settings.ease
    with progress(console, "taste groups", total=2 * DRAWS) as advance:
        tastes = find_tastes(task, ease, seed=seed, advance=advance)
    with progress(console, "bias and variance", total=RESAMPLES) as advance:
        spread = measure_spread(task.before, min_raters=ease.min_raters, seed=seed, advance=advance)
    films = [task.catalogue.films[item] for item in tastes.items.tolist()]
    save_figure(draw_map(tastes, [film.name for film in films], [film.n_ratings for film in films]), docs / "map.svg")
    return {
        "explored": describe(trained.data.ratings),
        **record_order(trained, seed=seed),
        "tastes": {
            "stability": {str(k): value for k, value in tastes.stability.items()},
            "without_features": {str(k): value for k, value in tastes.without_features.items()},
            "groups": [vars(each) for each in tastes.groups],
            "people": [as_json(vars(each)) for each in taste_groups(trained.evaluation, tastes, seed=seed)],
        },
        "spread": [vars(each) for each in spread],
    }


def record_order(trained: Trained, *, seed: int) -> dict[str, Any]:
    """Return what models that know order alone come to."""
    chosen, measured = measure_order(
        trained.data, trained.split, trained.settings, trained.chosen, k=trained.evaluation.k, seed=seed
    )
    parts = {
        part: {"users": each.users, "ndcg": as_json(each.ndcg), "difference": as_json(each.difference)}
        for part, each in measured.items()
    }
    return {"order": {"chosen": vars(chosen), **parts}}


def record_lists(evaluation: Evaluation) -> dict[str, Any]:
    """Return the metrics without the length of the lists in their names, and the coverage, which has no interval."""
    return as_json({**{name: evaluation.metric(name) for name in evaluation.per_user}, "coverage": evaluation.coverage})


def as_json(metrics: Mapping[str, object]) -> dict[str, Any]:
    """Return metrics with their intervals as JSON types; what has no interval stays."""
    return {name: value._asdict() if isinstance(value, Interval) else value for name, value in metrics.items()}
