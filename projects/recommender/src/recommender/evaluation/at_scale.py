"""Training on a stored data set of any size: what `recommender.train.learn` does, without all ratings in memory.

What needs everybody is two Gram matrices of films (`recommender.models.gram`) and the counts of people and films. What
needs histories looks at the people who are drawn, at most `max_users`: the choice of rank and penalty, the comparison,
the chances, the test and the reference. Popularity is the baseline; the other models need the ratings themselves.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.console import Console
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.tables import candidate_rows, terminal_table
from portfolio_shared.results import Candidate, Trained
from portfolio_shared.tracking.runs import RunLog
from recommender.config import ModelSettings, TrainConfig, tuned_settings
from recommender.data.drawn import Drawn, draw, lowest, suitable_people
from recommender.data.etl.spark_command import has_spark, run_on_spark
from recommender.data.gram_job import missing, sum_missing
from recommender.data.load import Dataset
from recommender.data.splits import Split
from recommender.evaluation.candidates import COLUMNS, choose, measure_candidate
from recommender.evaluation.evaluate import LONGEST, Evaluation, measure, recommend_all, task_of_test
from recommender.evaluation.grid import MOST_USERS, choose_rank_and_penalty
from recommender.evaluation.task import Ints, Task, lists_for
from recommender.models.calibrate import fit_chance
from recommender.models.fit import FULL, POPULARITY, UNWEIGHTED, Scorer
from recommender.models.gram import Gram, decompose_gram, fit_gram, read_gram
from recommender.models.history_weights import HistoryWeights
from recommender.models.item_factors import ItemFactors
from recommender.models.popularity import Popularity
from recommender.models.predictor import Predictor

CANDIDATES_TITLE = "Candidates, fitted on the training part, measured on the validation part"
Learned = Trained[Dataset, Split, Scorer, ModelSettings, Predictor, Evaluation]


@dataclass(frozen=True)
class DrawnSplit(Split):
    """The parts of the people drawn, and beside them what was learned from: everybody before the test.

    Attributes
    ----------
    reference
        Numbers of the people with whom later requests are compared.
    """

    gram: Gram
    reference: Ints


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def learn_at_scale(config: TrainConfig, console: Console, run: RunLog) -> Learned:
    """Go from a stored data set to an evaluated model; of all ratings nothing but sums is held.

    Raises
    ------
    DataError
        If the data are not what `recommender etl` wrote.
    EngineError
        If the engine cannot be had, or gives up.
    """
    # Data: counts of everybody, all ratings of the people drawn, and the sums, which are made unless they are kept.
    drawn = draw(config.data, max_users=config.max_users, seed=config.seed)
    console.print(drawn.data.source.reason, drawn.data.report.as_table(), sep="\n")
    rows = [[label, f"{number:,}"] for label, number in counts_of(drawn).items()]
    console.print(terminal_table("Test: each user's last 20 % by time", ["", "number"], rows))
    settings = tuned_settings(path=config.tuned)
    with console.status(f"summing Gram matrices with {config.engine}"):
        sum_grams(drawn.folder, settings, config)

    # Settings and candidates: fitted on the training part and compared on the validation part.
    with console.status("fitting on the training part"):
        settings, candidates, details = compare_at_scale(drawn, settings, config, console)
    for candidate in candidates.values():
        run.child(candidate.name, {"candidate": candidate.name}, candidate.metrics)
    metrics = {name: candidate.metrics for name, candidate in candidates.items()}
    console.print(terminal_table(CANDIDATES_TITLE, *candidate_rows(metrics, COLUMNS)))
    chosen = choose(candidates)

    # The final fit on training and validation part together, and the one look at the test.
    gram = read_gram(drawn.folder, drawn.totals, settings.ease, "before_test", drawn.manifest)
    with console.status("fitting on all but the test"):
        predictor = fit_at_scale(drawn, gram, settings, candidates[chosen], seed=config.seed)
    with console.status("evaluating what will be served"):
        evaluation = evaluate_at_scale(predictor, drawn, seed=config.seed, k=config.k)
    run.log_metrics({"coverage": evaluation.coverage})
    parts = DrawnSplit(**vars(drawn.split), gram=gram, reference=drawn.reference)
    intervals = {name: baseline.metrics for name, baseline in evaluation.baselines.items()}
    details |= {"engine": config.engine, "people": len(gram.lengths), "films of the Gram matrix": len(gram.films)}
    return Trained(drawn.data, parts, candidates, chosen, settings, predictor, evaluation, intervals, details)


def counts_of(drawn: Drawn) -> dict[str, int]:
    """Return what is learned from, who is evaluated, and what is excluded, to its number."""
    totals = drawn.totals
    return {
        "ratings to learn from": int(totals.raters["before_test"].sum()),
        "ratings in the test": int(totals.hidden.sum()),
        "users evaluated": len(drawn.people),
        **drawn.split.excluded,
        "users that were not drawn": len(suitable_people(totals)) - len(drawn.people),
    }


def sum_grams(folder: Path, settings: ModelSettings, config: TrainConfig) -> None:
    """Sum the Gram matrices that are not kept, in this process or by the command that runs Spark."""
    if config.engine is None or not missing(folder, settings.ease):
        return
    if config.engine == "spark" and not has_spark():
        options = ["--engine", "spark", "--memory-limit", config.memory_limit]
        options += ["--tuned", str(config.tuned)] if config.tuned else []
        run_on_spark("recommender.data.gram_job", str(folder), *options, command=config.spark_command)
        return
    sum_missing(folder, settings.ease, config.engine, memory_limit=config.memory_limit)


def compare_at_scale(
    drawn: Drawn, settings: ModelSettings, config: TrainConfig, console: Console
) -> tuple[ModelSettings, dict[str, Candidate[Scorer]], dict[str, JsonValue]]:
    """Choose rank and penalty, and measure the candidates on the validation part; the best comes first."""
    started, parts, totals = time.perf_counter(), drawn.split, drawn.totals
    task = Task(parts.train, parts.validation, drawn.people, parts.catalogue.counted(totals.raters["train"]))
    few = replace(task, users=lowest(drawn.people, totals, most=MOST_USERS, seed=config.seed))
    gram = read_gram(drawn.folder, totals, settings.ease, "train", drawn.manifest)
    directions = decompose_gram(gram, task.catalogue, settings.ease)
    seconds = time.perf_counter() - started
    measured: dict[str, Any] = {"k": config.k, "seed": config.seed}
    grid = choose_rank_and_penalty([few], settings, fits=[directions], **measured, budget=config.grid_seconds)
    console.print(grid.why)
    if grid.warning:
        console.print(grid.warning)
    settings, ease = grid.settings, grid.settings.ease
    candidates = [
        measure_candidate(name, model, task, weigh=weigh, seconds=each, **measured)
        for name, model, weigh, each in (
            (FULL, directions.at(penalty=ease.penalty, rank=ease.rank), weigh_by(settings), seconds),
            (POPULARITY, popularity(task), UNWEIGHTED, 0.0),
        )
    ]
    ordered = sorted(candidates, key=lambda candidate: -candidate.metrics["ndcg"])
    return settings, {candidate.name: candidate for candidate in ordered}, {"grid": grid.as_json()}


def fit_at_scale(
    drawn: Drawn, gram: Gram, settings: ModelSettings, chosen: Candidate[Scorer], *, seed: int
) -> Predictor:
    """Fit on everything but the test; the chances on the validation part, with the candidate that did not see it."""
    parts, raters = drawn.split, drawn.totals.raters
    catalogue, weigh = parts.catalogue.counted(raters["before_test"]), weigh_by(settings)
    if not isinstance(chosen.model, ItemFactors):
        raise TypeError(f"{chosen.name} cannot be served; expected {FULL}")
    model = fit_gram(gram, catalogue, settings.ease)
    chance = fit_chance(chosen.model, weigh, parts.train, parts.validation, raters=raters["train"], seed=seed)
    return Predictor(catalogue, model, weigh, chance)


def evaluate_at_scale(predictor: Predictor, drawn: Drawn, *, seed: int, k: int) -> Evaluation:
    """Measure the predictor and popular films on the test of the people drawn."""
    task = task_of_test(drawn)
    baseline = measure(lists_for(popularity(task), task, k=LONGEST, weigh=UNWEIGHTED), task, k=k, seed=seed)
    evaluation = measure(recommend_all(predictor, task), task, k=k, seed=seed)
    return replace(evaluation, baselines={POPULARITY: baseline})


def refit_without(trained: Learned, split: DrawnSplit, people: NDArray[np.int64]) -> Predictor:
    """Return the predictor as it would be had these people, of those drawn, not been learned from."""
    learned, ease = split.before_test, trained.settings.ease
    gram = split.gram.without(learned.where(np.isin(learned.users, people)), ease)
    with threadpool_limits(limits=1):
        return replace(trained.predictor, model=fit_gram(gram, trained.predictor.catalogue, ease))


def popularity(task: Task) -> Popularity:
    """Return the model of what most people rated, whoever of them is in memory."""
    return Popularity(task.catalogue.n_ratings.astype(np.float32))


def weigh_by(settings: ModelSettings) -> HistoryWeights:
    """Return how the served model reads a history."""
    return HistoryWeights(**settings.history.model_dump())
