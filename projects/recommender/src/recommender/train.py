"""From raw data to a registered model, read downwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, TypeAdapter
from rich.console import Console
from rich.table import Table

import portfolio_shared
from portfolio_shared.bundle import DataInfo, Manifest, MetricValue, metric_values, read_manifest, replace_bundle
from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.uncertainty import PairedComparison
from portfolio_shared.terminal import progress
from portfolio_shared.tracking.client import check_server
from portfolio_shared.tracking.git import current_commit
from portfolio_shared.tracking.training import register_and_gate, training_run
from recommender.config import MODEL_NAME, ModelSettings, TrainConfig, tuned_settings
from recommender.data.load import Loaded, load_movielens
from recommender.data.splits import Split, evaluated_users, split_by_user_time
from recommender.evaluation.candidates import Candidate, by_score, choose, compare, left_out, recipes, to_predictor
from recommender.evaluation.evaluate import (
    METRIC_LABELS,
    Evaluation,
    Task,
    accuracy,
    compare_ndcg,
    evaluate,
    make_task,
    recommend_all,
)
from recommender.evaluation.figures import draw
from recommender.models.predictor import Predictor, Seen

QUANTILES = (0, 5, 25, 50, 75, 95, 100)


@dataclass(frozen=True)
class Trained:
    """What a training leaves: the model, what it was compared with, and what the test says.

    Attributes
    ----------
    candidates
        By name, measured on the validation part.
    task
        The test: what models were fitted on at last, and what was hidden from them all the time.
    baselines
        Every other candidate by name, fitted on the same ratings as the chosen one and measured on the same test.
    """

    data: Loaded
    split: Split
    task: Task
    candidates: dict[str, Candidate]
    chosen: str
    settings: ModelSettings
    predictor: Predictor
    evaluation: Evaluation
    baselines: dict[str, Candidate]


def train(config: TrainConfig, console: Console | None = None) -> Path:
    """Train, evaluate, write the bundle, register it and pass the gate.

    Returns
    -------
    pathlib.Path
        The bundle's folder.

    Raises
    ------
    TrackingUnavailable
        If the MLflow server does not answer: found out before the training, not after it.
    """
    console = console or Console()
    if config.tracking_uri:
        check_server(config.tracking_uri)
    trained = learn(config, console)

    # The bundle: what serving reads.
    write(config.output, trained.predictor, describe(config, trained))
    console.print(f"Bundle: {config.output}")

    # MLflow: one run with a child for each candidate, a registered version, and the gate.
    if config.tracking_uri:
        with console.status("logging to MLflow"):
            track(config, trained, console)
    else:
        console.print("Not tracked and not registered: there is no tracking URI")
    return config.output


def learn(config: TrainConfig, console: Console) -> Trained:
    """Go from data to an evaluated model; nothing is written."""
    # Data: read, clean, report, split. From here on nothing looks at the test until the model is chosen.
    data = load_movielens(config.data, dataset=config.dataset)
    console.print(data.source.reason)
    console.print(data.movielens.report.as_table())
    catalogue = data.movielens.catalogue
    split = split_by_user_time(data.movielens.ratings)
    validation = make_task(split.train, split.validation, catalogue, max_users=config.max_users, seed=config.seed)
    test = make_task(split.before_test, split.test, catalogue, max_users=config.max_users, seed=config.seed)
    console.print(left_out_table(split, test))

    # Candidates, the baselines among them, fitted on the training part and compared on the validation part.
    settings = tuned_settings()
    for said in left_out(settings, split.before_test):
        console.print(f"Not fitted: {said}")
    tried = recipes(settings, split.before_test, catalogue, seed=config.seed, threads=config.threads)
    with progress(console, "comparing candidates", total=len(tried)) as advance:
        candidates = compare(validation, tried, k=config.k, seed=config.seed, n_resamples=200, advance=advance)
    console.print(candidate_table(candidates))

    # The choice: the best of those that can be served.
    chosen = choose(candidates)
    console.print(f"Chosen: {chosen}")

    # The final fits on training and validation part together, and the one look at the test.
    with progress(console, "fitting on all but the test", total=len(tried)) as advance:
        final = compare(test, tried, k=config.k, seed=config.seed, advance=advance)
    predictor = to_predictor(final.pop(chosen), test.catalogue, settings)
    with console.status("evaluating what will be served"):
        evaluation = evaluate(recommend_all(predictor, test), test, k=config.k, seed=config.seed)
    console.print(metric_table(evaluation, final))
    return Trained(data, split, test, candidates, chosen, settings, predictor, evaluation, final)


def describe(config: TrainConfig, trained: Trained) -> Manifest:
    """Describe the model: what it is, what it learned from, how good it is."""
    data, split, task = trained.data, trained.split, trained.task
    return Manifest(
        project=MODEL_NAME,
        created=datetime.now(UTC),
        git_commit=current_commit(),
        data=DataInfo(
            source=data.source.kind,
            name=data.name,
            sha256=data.sha256,
            rows={"train": len(split.before_test), "test": len(split.test), "users": len(task.users)},
            test_split_sha256=task.digest,
        ),
        config={
            "chosen": trained.chosen,
            "k": config.k,
            "max_users": config.max_users,
            "seed": config.seed,
            **trained.settings.model_dump(mode="json"),
        },
        metrics=described_metrics(trained.evaluation),
        baselines={name: described_metrics(candidate.evaluation) for name, candidate in trained.baselines.items()},
        input_schema=TypeAdapter(list[Seen]).json_schema(),
        input_statistics=input_statistics(task),
    )


def described_metrics(evaluation: Evaluation) -> dict[str, MetricValue]:
    """Return the metrics in the manifest's form; those at k say so in their name."""
    return metric_values({**evaluation.at_k, "coverage": evaluation.coverage})


def input_statistics(task: Task) -> dict[str, JsonValue]:
    """Return quantiles and shares of what models were fitted on, to compare traffic with."""
    ratings = task.before
    lengths = ratings.user_counts()
    stars, counts = np.unique(ratings.values, return_counts=True)
    return {
        "history_length": _quantiles(lengths[lengths > 0]),
        "raters_of_a_film_in_a_history": _quantiles(ratings.item_counts()[ratings.items]),
        "stars": {f"{value:g}": round(n / len(ratings), 4) for value, n in zip(stars.tolist(), counts, strict=True)},
    }


def _quantiles(values: NDArray[np.int64]) -> dict[str, JsonValue]:
    return {f"q{level}": float(np.percentile(values, level)) for level in QUANTILES}


def write(bundle: Path, predictor: Predictor, described: Manifest) -> None:
    """Replace the bundle's folder, check that it reads back, and that it recommends what was evaluated."""
    popular = np.argsort(-predictor.catalogue.n_ratings, kind="stable")[:5]
    history = [Seen(predictor.catalogue.films[item].id) for item in popular]
    replace_bundle(
        bundle,
        described,
        predictor,
        save=Predictor.save,
        load=Predictor.load,
        answer=lambda predictor: predictor.recommend(history),
    )


def track(config: TrainConfig, trained: Trained, console: Console) -> None:
    """Log the run, its candidates, figures and bundle; register a version and pass the gate."""
    bundle, evaluation = config.output, trained.evaluation
    described = read_manifest(bundle)
    with TemporaryDirectory() as folder, training_run(described, tracking_uri=config.tracking_uri) as run:
        for candidate in trained.candidates.values():
            run.child(candidate.name, {"candidate": candidate.name}, candidate.summary)
        run.log_metrics(evaluation.at_k)
        run.log_metrics({"coverage": evaluation.coverage})
        figures = Path(folder)
        draw(trained.task, trained.candidates, {trained.chosen: evaluation, **evaluations(trained)}, figures)
        run.log_folder(figures, "figures")
        popular = trained.task.catalogue.films[int(np.argmax(trained.task.catalogue.n_ratings))].id
        logged = run.log_bundle(
            bundle,
            adapter=Path(__file__).parent / "serving" / "mlflow_adapter.py",
            # The second row makes what may be left out optional.
            input_example=[{"history": f"{popular}:4.5", "k": config.k}, {"history": f"[{popular}]"}],
            requirements=("numpy", "pydantic"),
            code_paths=[Path(__file__).parent, Path(portfolio_shared.__file__).parent],
        )
    compare = comparison_with(trained)
    console.print(register_and_gate(run, logged, described, name=MODEL_NAME, load=Predictor.load, compare=compare))


def evaluations(trained: Trained) -> dict[str, Evaluation]:
    """Return what the test says of every other candidate."""
    return {name: candidate.evaluation for name, candidate in trained.baselines.items()}


def comparison_with(trained: Trained) -> Callable[[Predictor], PairedComparison]:
    """Return a function: champion -> this model minus the champion, nDCG of the same users as an error.

    The champion gets the same histories. Films that it does not know are missing from its histories and from its
    lists, where they count as not recommended.
    """
    evaluation = trained.evaluation

    def compare_with(champion: Predictor) -> PairedComparison:
        lists = recommend_all(champion, trained.task)
        theirs = accuracy(lists, trained.task, k=evaluation.k)["ndcg"]
        return compare_ndcg(evaluation.per_user["ndcg"], theirs)

    return compare_with


def left_out_table(split: Split, task: Task) -> Table:
    """Return who is evaluated, and who and what is not, and why."""
    table = Table(title="Test: each user's last 20 % by time")
    table.add_column("")
    table.add_column("number", justify="right")
    for label, number in who_is_left_out(split, task).items():
        table.add_row(label, f"{number:,}")
    return table


def who_is_left_out(split: Split, task: Task) -> dict[str, int]:
    """Return how many users are evaluated, and what is left out, to its number."""
    return {
        "ratings to learn from": len(task.before),
        "ratings in the test": len(task.hidden),
        "users evaluated": len(task.users),
        **split.left_out,
        "users that were not drawn": len(evaluated_users(task.before, task.hidden)) - len(task.users),
    }


def candidate_table(candidates: Mapping[str, Candidate]) -> Table:
    """Return the candidates side by side, the best first."""
    table = Table(title="Candidates, fitted on the training part, measured on the validation part")
    for heading in ("candidate", "nDCG", "fit, s", "fit, MB", "model, MB", "scoring, ms"):
        table.add_column(heading, justify="left" if heading == "candidate" else "right")
    for candidate in by_score(candidates):
        row = candidate.summary
        table.add_row(
            candidate.name,
            f"{row['ndcg']:.4f}",
            f"{row['fit_seconds']:.2f}",
            f"{row['fit_megabytes']:,.0f}",
            f"{row['model_megabytes']:,.1f}",
            f"{row['score_milliseconds']:.2f}",
        )
    return table


def metric_table(evaluation: Evaluation, baselines: Mapping[str, Candidate]) -> Table:
    """Return what the test says of the chosen model and, below it, of the baselines."""
    table = Table(title=f"Test, {len(evaluation.lists):,} users (95 % bootstrap interval)")
    table.add_column("model")
    shown = ("ndcg", "recall", "hit_rate")
    for metric in (*shown, "coverage"):
        table.add_column(METRIC_LABELS[metric].format(k=evaluation.k), justify="right")
    measured = {name: candidate.evaluation for name, candidate in baselines.items()}
    ordered = sorted(measured.items(), key=lambda item: -item[1].metrics["ndcg"].estimate)
    for name, one in (("chosen model", evaluation), *ordered):
        ndcg, *others = (one.metrics[metric] for metric in shown)
        table.add_row(name, with_interval(ndcg), *(f"{m.estimate:.3f}" for m in others), f"{one.coverage:.3f}")
    return table
