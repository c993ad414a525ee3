"""From raw data to a registered model, read downwards; what every project does after `learn` is in the shared spine."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, TypeAdapter
from rich.console import Console
from rich.table import Table

from portfolio_shared import results, training
from portfolio_shared.bundle import DataInfo, Manifest, MetricValue, metric_values
from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.tables import candidate_rows, terminal_table
from portfolio_shared.evaluation.uncertainty import PairedComparison
from portfolio_shared.operations.lessons import MOST, Lesson, Lessons, compare_by_client
from portfolio_shared.operations.watch import Columns
from portfolio_shared.results import Candidate
from portfolio_shared.terminal import progress
from portfolio_shared.tracking.git import current_commit
from portfolio_shared.tracking.runs import UNTRACKED, RunLog
from recommender.config import MAX_HISTORY, MODEL_NAME, ModelSettings, TrainConfig, tuned_settings
from recommender.data.load import Dataset, load, split
from recommender.data.people import Person, join, learn_from, newest
from recommender.data.splits import Split, evaluated_users
from recommender.evaluation.at_scale import CANDIDATES_TITLE, DrawnSplit, learn_at_scale, refit_without
from recommender.evaluation.candidates import COLUMNS, choose, compare, evaluate_baselines
from recommender.evaluation.evaluate import METRIC_LABELS, Evaluation, compare_with_champion, evaluate
from recommender.evaluation.figures import draw
from recommender.evaluation.grid import MOST_USERS, choose_rank_and_penalty
from recommender.evaluation.recent import Watched, shortfalls
from recommender.evaluation.task import make_task
from recommender.models.fit import FULL, Scorer, fit, recipes, refit, too_large
from recommender.models.prediction import Seen
from recommender.models.predictor import Predictor
from recommender.serving.observe import history_of, interleaved, reference, shown_to

Trained = results.Trained[Dataset, Split, Scorer, ModelSettings, Predictor, Evaluation]

STARS: Mapping[bool | None, float] = {True: 4.5, False: 1.5, None: math.nan}
"""What liking a film stands for, or not: a star above the middle of a history's weights, two below, none."""


def learn(config: TrainConfig, console: Console, run: RunLog = UNTRACKED, lessons: Lessons | None = None) -> Trained:
    """Go from data to an evaluated model; nothing of it is written."""
    if config.engine is not None:  # more ratings than memory holds: the same way, from sums
        return learn_from_sums(config, console, run, lessons)
    # Data: read, clean, report, split. From here on nothing looks at the test until the model is chosen.
    data = load(config.data, dataset=config.dataset)
    console.print(data.source.reason, data.report.as_table(), sep="\n")
    parts = split(data)
    console.print(users_table(parts, config.max_users))
    parts, lessons = taught(parts, lessons, min_raters=tuned_settings(path=config.tuned).ease.min_raters)

    # Settings: as found on MovieLens or by `tune`, and rank and penalty of EASE for these data.
    settings, details = settings_for(parts, config, console)

    # Candidates, the baselines among them, fitted on the training part and compared on the validation part.
    options = {"seed": config.seed, "k": config.k, "max_users": config.max_users}
    with progress(console, "comparing", total=len(recipes(settings, parts.before_test, data.catalogue))) as advance:
        candidates = compare(
            parts,
            settings,
            **options,
            threads=config.threads,
            advance=advance,
            log=lambda candidate: run.child(candidate.name, {"candidate": candidate.name}, candidate.metrics),
        )
    console.print(terminal_table(CANDIDATES_TITLE, *candidate_rows(metrics_of(candidates), COLUMNS)))

    chosen = choose(candidates)  # the best of those that can be served
    console.print(f"Chosen: {chosen}")

    # The final fits on training and validation part together, and the one look at the test.
    with progress(console, "fitting on all but the test", total=len(candidates)) as advance:
        predictor = fit(parts, settings, candidates[chosen], seed=config.seed, threads=config.threads)
        advance(chosen)
        others = {name: candidate for name, candidate in candidates.items() if name != chosen}
        baselines = evaluate_baselines(parts, settings, others, **options, threads=config.threads, advance=advance)
    with console.status("evaluating what will be served"):
        evaluation = replace(evaluate(predictor, parts, **options), baselines=baselines)
    run.log_metrics({"coverage": evaluation.coverage})
    console.print(metric_table(evaluation))
    intervals = {name: baseline.metrics for name, baseline in baselines.items()}
    return Trained(data, parts, candidates, chosen, settings, predictor, evaluation, intervals, details, lessons)


def learn_from_sums(config: TrainConfig, console: Console, run: RunLog, lessons: Lessons | None) -> Trained:
    """Go the same way without all ratings in memory; raise ValueError if feedback is to be learned from as well."""
    if lessons is not None:
        raise ValueError("feedback is learned from beside ratings in memory: retrain without --engine")
    trained: Trained = learn_at_scale(config, console, run)
    console.print(metric_table(trained.evaluation))
    return trained


def taught(parts: Split, lessons: Lessons | None, *, min_raters: int) -> tuple[Split, Lessons | None]:
    """Return the parts with the people of the prediction log who are learned from as well, and what they teach."""
    if lessons is None:
        return parts, None
    lessons = as_many_as_may_count(lessons, parts, min_raters=min_raters)
    return learn_from(parts, list(map(person_of, lessons.learned)), min_raters=min_raters), lessons


def as_many_as_may_count(lessons: Lessons, parts: Split, *, min_raters: int) -> Lessons:
    """Return the newest people of the log whose ratings are at most `MOST` of all that is learned from."""
    most = int(len(parts.before_test) * MOST / (1 - MOST))
    kept = newest(list(map(person_of, lessons.learned)), most, min_raters=min_raters)
    left_out = len(lessons.learned) - len(kept)
    counts = {**lessons.counts, "learned": len(kept), f"more than {MOST:.0%} of the ratings": left_out}
    return replace(lessons, learned=lessons.learned[left_out:], counts={why: n for why, n in counts.items() if n})


def person_of(lesson: Lesson) -> Person:
    """Return whom feedback tells of: the films of their history, then those watched since, with stars for liking."""
    seen = history_of(lesson.prediction, lesson.item)
    stars = {film.film_id: math.nan if film.stars is None else film.stars for film in seen}
    for watched in lesson.truth.watched:
        stars.pop(watched.film_id, None)
        stars[watched.film_id] = STARS[watched.liked]
    return Person(dict(list(stars.items())[-MAX_HISTORY:]), lesson.at, lesson.client)


def settings_for(parts: Split, config: TrainConfig, console: Console) -> tuple[ModelSettings, dict[str, JsonValue]]:
    """Return the settings that are gone on with, and what was tried to find rank and penalty."""
    settings = tuned_settings(path=config.tuned)
    left_out = too_large(settings, parts.before_test)
    for name, reason in left_out.items():
        console.print(f"Not fitted: {name}: {reason}")
    if FULL in left_out:
        return settings, {}
    with console.status("choosing rank and penalty"):
        task = make_task(parts.train, parts.validation, parts.catalogue, max_users=MOST_USERS, seed=config.seed)
        grid = choose_rank_and_penalty([task], settings, seed=config.seed, k=config.k, budget=config.grid_seconds)
    console.print(grid.why)
    if grid.warning:
        console.print(grid.warning)
    return grid.settings, {"grid": grid.as_json()}


def describe(config: TrainConfig, trained: Trained) -> Manifest:
    """Describe the model: what it is, what it learned from, how good it is."""
    data, evaluation = trained.data, trained.evaluation
    return Manifest(
        project=MODEL_NAME,
        created=datetime.now(UTC),
        git_commit=current_commit(),
        data=DataInfo(
            source=data.source.kind,
            name=data.name,
            sha256=data.sha256,
            rows={
                "train": int(trained.predictor.catalogue.n_ratings.sum()),
                "test": len(trained.split.test),
                "users": len(evaluation.task.users),
            }
            | ({"people of the log": len(trained.lessons.learned)} if trained.lessons else {}),
            test_split_sha256=evaluation.task.digest,
        ),
        config={
            "chosen": trained.chosen,
            "k": config.k,
            "max_users": config.max_users,
            "seed": config.seed,
            **trained.settings.model_dump(mode="json"),
            **trained.details,
        },
        metrics=described_metrics(evaluation),
        baselines={name: described_metrics(baseline) for name, baseline in evaluation.baselines.items()},
        input_schema=TypeAdapter(list[Seen]).json_schema(),
    )


def described_metrics(evaluation: Evaluation) -> dict[str, MetricValue]:
    """Return the metrics in the manifest's form."""
    return metric_values({**evaluation.metrics, "coverage": evaluation.coverage})


def popular_history(trained: Trained) -> list[list[Seen]]:
    """Return one history, of the five films that most people rated."""
    catalogue = trained.predictor.catalogue
    return [[Seen(catalogue.films[item].id) for item in np.argsort(-catalogue.n_ratings, kind="stable")[:5]]]


def input_example(trained: Trained) -> list[dict[str, object]]:
    """Return rows as the MLflow adapter reads them; the second makes what may be left out optional."""
    popular = popular_history(trained)[0][0].film_id
    return [{"history": f"{popular}:4.5", "k": trained.evaluation.k}, {"history": f"[{popular}]"}]


def metrics_of(candidates: Mapping[str, Candidate[Scorer]]) -> dict[str, dict[str, float]]:
    """Return the metrics of each candidate by name."""
    return {name: candidate.metrics for name, candidate in candidates.items()}


def user_counts(parts: Split, max_users: int) -> dict[str, int]:
    """Return how many users are evaluated, and what is excluded, to its number."""
    suitable = len(evaluated_users(parts.before_test, parts.test))
    evaluated = min(suitable, max_users)
    return {
        "ratings to learn from": len(parts.before_test),
        "ratings in the test": len(parts.test),
        "users evaluated": evaluated,
        **parts.excluded,
        "users that were not drawn": suitable - evaluated,
    }


def users_table(parts: Split, max_users: int) -> Table:
    """Return for the terminal who is evaluated, and who and what is not."""
    rows = [[label, f"{number:,}"] for label, number in user_counts(parts, max_users).items()]
    return terminal_table("Test: each user's last 20 % by time", ["", "number"], rows)


def metric_table(evaluation: Evaluation) -> Table:
    """Return for the terminal what the test says of the chosen model and, below it, of the baselines, best first."""
    shown = ("ndcg", "recall", "hit_rate")
    ordered = sorted(evaluation.baselines.items(), key=lambda item: -item[1].metric("ndcg").estimate)
    rows = []
    for name, tested in (("chosen model", evaluation), *ordered):
        ndcg, *others = map(tested.metric, shown)
        rows.append([name, with_interval(ndcg), *(f"{m.estimate:.3f}" for m in others), f"{tested.coverage:.3f}"])
    headings = ["model", *(METRIC_LABELS[name].format(k=evaluation.k) for name in (*shown, "coverage"))]
    return terminal_table(f"Test, {len(evaluation.lists):,} users (95 % bootstrap interval)", headings, rows)


def reference_at_scale(trained: Trained, parts: DrawnSplit) -> Columns:
    """Return the same of some of all people, with models of which their part was taken back."""
    learned = parts.before_test.where(np.isin(parts.before_test.users, parts.reference))
    without, of = partial(refit_without, trained, parts), int(np.count_nonzero(parts.gram.lengths))
    with Console(stderr=True).status("fitting for the reference"):
        return reference(trained.predictor.catalogue, trained.data.ratings, learned, without, of=of)


def reference_of(config: TrainConfig, trained: Trained) -> Columns:
    """Return what later requests are compared with: of each person, with a model that did not see them."""
    if isinstance(trained.split, DrawnSplit):
        return reference_at_scale(trained, trained.split)
    learned, predictor = trained.split.before_test, trained.predictor
    of_films = recipes(trained.settings, learned, predictor.catalogue, seed=config.seed, threads=config.threads)

    def without(people: NDArray[np.int64]) -> Predictor:
        return refit(predictor, of_films[trained.chosen], learned.where(~np.isin(learned.users, people)))

    with Console(stderr=True).status("fitting for the reference"):
        people = list(map(person_of, trained.lessons.learned)) if trained.lessons else []
        ratings = join(trained.data.ratings, people, predictor.catalogue)
        return reference(predictor.catalogue, ratings, learned, without)


def recent(trained: Trained, champion: Predictor, held_back: Sequence[Lesson]) -> PairedComparison | None:
    """Compare nDCG on what people watched whom neither model learned from; below 0 the new model is better.

    What the champion showed is watched more often for it: a new model is better in spite of that. Left out are people
    who were shown films of another model too, people without a name, who may be among those learned from with another
    history, and whoever tells of films of the shown list alone, as the page does: they say nothing of others.
    """
    held_back = [each for each in held_back if each.prediction.subject and not interleaved(each.prediction)]
    told = [
        Watched(
            history_of(lesson.prediction, lesson.item),
            frozenset(shown_to(lesson.prediction, lesson.item)),
            frozenset(film.film_id for film in lesson.truth.watched if film.liked is not False),
        )
        for lesson in held_back
    ]
    judges = [lesson for lesson, person in zip(held_back, told, strict=True) if person.judges]
    people, k = [person for person in told if person.judges], trained.evaluation.k
    if not people:
        return None
    return compare_by_client(
        judges, *(shortfalls(model, people, k=k).tolist() for model in (champion, trained.predictor))
    )


PROJECT = training.Project(
    name=MODEL_NAME,
    package=Path(__file__).parent,
    requirements=("numpy", "pydantic", "pydantic-settings"),
    learn=learn,
    describe=describe,
    example=popular_history,
    load=Predictor.load,
    reference=reference_of,
    draw=draw,
    input_example=input_example,
    compare=lambda trained, champion: compare_with_champion(trained.evaluation, champion),
    recent=recent,
    margin=0.01,  # of nDCG; with 700 people the interval reaches 0.004 to either side, so 0.005 would refuse equals
)


def train(config: TrainConfig, console: Console | None = None) -> Path:
    """Train, evaluate, write the bundle, register it and pass the gate; return the bundle's folder."""
    return training.run(PROJECT, config, console).bundle
