"""Search hyper-parameters on the validation part: once for each split, the result is committed as `tuned.json`.

That is of MovieLens latest-small. What a search on other data finds is written beside its study, and `train --tuned`
reads it.

Each candidate has a study of its own, which lives in SQLite and goes on where it stopped. Its first trial has the
settings in use, and its best one replaces them only where it is better by more than chance, which is the gate's rule
too: of many settings that are about equally good, the highest on one validation part is seldom the best. The test is
never touched: it is not even a part of what the random split's three validation parts are drawn from.

Two candidates are searched to see what their settings cost, and what is best for them is not taken (`BORROWED`): ALS,
recency-weighted, which has the factors' settings of ALS and weighs a history as EASE does; and on random ratings the
served EASE, which stands there with what is served, so that one model meets all splits.

Not searched are `min_raters` and `rank` of the served model. More films and more directions would not make it better
by more than chance, but they would let single histories be read from it (docs/privacy.md).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from rich.console import Console
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.uncertainty import STANDARD_ERRORS, better_by_more_than_chance
from portfolio_shared.terminal import progress
from portfolio_shared.tracking.client import check_server
from portfolio_shared.tracking.runs import UNTRACKED, RunLog, tracked_run
from recommender.config import MODEL_NAME, TUNED, ModelSettings, SplitName, TuneConfig, tuned_settings
from recommender.data.load import Dataset, load
from recommender.data.splits import split_at_random, split_by_user_time
from recommender.evaluation.evaluate import accuracy
from recommender.evaluation.task import Floats, Task, lists_for, make_task
from recommender.models.fit import ALS, ALS_RECENT, EASE, FULL, ITEMS, USERS, recipes, too_large

SPLITS_OF_RANDOM, SHARE_OF_RANDOM = 3, 0.15
COMMITTED = Path(str(files("recommender").joinpath(TUNED)))
Space = dict[str, BaseDistribution]
Changes = dict[str, float | int]
Summary = dict[str, Any]
"""What the studies of one split came to, for `tuned.json`: measure -> candidate -> value."""

ALS_SPACE: Space = {
    "als.n_factors": IntDistribution(32, 192, step=32),
    "als.regularization": FloatDistribution(1, 100, log=True),
    "als.alpha": FloatDistribution(1, 10, log=True),
}
RECENCY_SPACE: Space = {
    "history.half_life_share": FloatDistribution(0.05, 1.0, log=True),
    "history.half_life_films": FloatDistribution(1, 10, log=True),
    "history.rating_slope": FloatDistribution(0.0, 0.33),
}
SPACES: dict[str, Space] = {
    FULL: {
        "ease.penalty": FloatDistribution(50, 800, log=True),
        "ease.genre_weight": FloatDistribution(0, 6),
        "ease.year_weight": FloatDistribution(0, 6),
        "ease.length_exponent": FloatDistribution(0.0, 0.3),
        **RECENCY_SPACE,
    },
    EASE: {"baselines.ease_penalty": FloatDistribution(100, 800, log=True)},
    USERS: {"baselines.user_neighbors": IntDistribution(20, 120)},
    ITEMS: {"baselines.item_neighbors": IntDistribution(20, 200)},
    ALS: ALS_SPACE,
    ALS_RECENT: {**ALS_SPACE, **RECENCY_SPACE},
}
"""Candidate -> setting -> values. A baseline has a space of its own: each is compared at its best."""

BORROWED: dict[SplitName, frozenset[str]] = {"time": frozenset({ALS_RECENT}), "random": frozenset({FULL})}
"""Candidates with the settings of others: what would be best for them is recorded, and not taken."""


def tune(config: TuneConfig, console: Console | None = None) -> None:
    """Run (or go on with) the studies of one split, and write its best settings."""
    console = console or Console(markup=False)
    if uri := config.tracking_uri:
        check_server(uri)
    data = load(config.data, dataset=config.dataset)
    console.print(data.source.reason)
    name = f"tuning, split by {config.split}"
    with tracked_run(uri, experiment=MODEL_NAME, run_name=name) if uri else nullcontext(UNTRACKED) as run:
        search(config, data, console, run)


def search(config: TuneConfig, data: Dataset, console: Console, run: RunLog) -> None:
    """Search the space of each candidate that data of this size admit."""
    tasks = validation_tasks(data, config)
    settings = tuned_settings(config.split).model_copy(update={"ease": tuned_settings("time").ease})
    reasons = {name: reason for task in tasks for name, reason in too_large(settings, task.before).items()}
    excluded = [f"{name}: {why}" for name, why in reasons.items()]
    summary: Summary = {"users": max(len(task.users) for task in tasks), "excluded": excluded}
    for reason in excluded:
        console.print(f"Not searched: {reason}")
    spaces = {name: space for name, space in spaces_of(config.split).items() if name not in reasons}
    with progress(console, "trials", total=len(spaces) * config.trials) as advance:
        for candidate, space in spaces.items():
            study = run_study(
                candidate, space, settings, tasks, data_sha256=data.sha256, config=config, run=run, advance=advance
            )
            better = better_settings(candidate, study, settings, tasks, config)
            scores = [trial.values[0] for trial in complete_trials(study)]
            rounded = {"first": scores[0], "best": max(scores), "median": float(np.median(scores))}
            measures = {"fits": len(scores), "changed": better} | {key: round(n, 4) for key, n in rounded.items()}
            for measure, value in measures.items():
                summary.setdefault(measure, {})[candidate] = value
            if candidate not in BORROWED[config.split]:
                settings = with_changes(settings, better)
            if config.write:
                write(settings, summary, data, config)
    for candidate, best in summary["best"].items():
        console.print(f"{candidate}: nDCG@{config.k} {best:.4f}, best of {summary['fits'][candidate]} fits")
    path = file_to_write(config, data)
    reader = "" if path == COMMITTED else f"; recommender train --tuned {path} reads it"
    console.print(f"Written to {path}{reader}" if config.write else "Nothing is written")


def spaces_of(split: SplitName) -> dict[str, Space]:
    """Return what is searched for this split: on random ratings no recency, where order means nothing."""
    if split == "time":
        return dict(SPACES)
    return {
        candidate: {name: values for name, values in space.items() if name not in RECENCY_SPACE}
        for candidate, space in SPACES.items()
        if candidate != ALS_RECENT  # it would be ALS again
    }


def validation_tasks(data: Dataset, config: TuneConfig) -> list[Task]:
    """Return what settings are measured on.

    By time it is the validation part. The random split's own validation part trains on 56 % of the ratings, and what
    was best there was not best on 75 %: there it is three re-splits of everything but the test, hiding 15 % each.
    """
    if config.split == "time":
        parts = split_by_user_time(data.ratings, data.catalogue)
        return [make_task(parts.train, parts.validation, data.catalogue, seed=config.seed)]
    before_test = split_at_random(data.ratings, data.catalogue, seed=config.seed).before_test
    seeds = range(config.seed + 1, config.seed + 1 + SPLITS_OF_RANDOM)
    again = [split_at_random(before_test, data.catalogue, share=SHARE_OF_RANDOM, seed=seed) for seed in seeds]
    return [make_task(parts.before_test, parts.test, data.catalogue, seed=config.seed) for parts in again]


def run_study(
    candidate: str,
    space: Space,
    settings: ModelSettings,
    tasks: Sequence[Task],
    *,
    data_sha256: str,
    config: TuneConfig,
    run: RunLog,
    advance: Callable[[str], None],
) -> optuna.Study:
    """Run the trials of a candidate that are left, the first with the settings in use; return its study."""
    config.study.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=f"{candidate}, split by {config.split}, nDCG@{config.k}, data {data_sha256[:12]}",
        storage=f"sqlite:///{config.study}",
        direction="maximize",
        load_if_exists=True,
    )
    # A sampler that started from the same seed again would draw the settings of the first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=config.seed + len(study.trials))
    if not study.trials:
        study.enqueue_trial({name: value_of(settings, name) for name in space})
    finished = complete_trials(study)
    for trial in finished:
        advance(f"{candidate}, trial {trial.number}")
    for _ in range(len(finished), config.trials):
        asked = study.ask(space)
        ndcg = float(score(candidate, with_changes(settings, asked.params), tasks, config).mean())
        study.tell(asked, ndcg)
        run.child(f"{candidate}, trial {asked.number}", {"candidate": candidate, **asked.params}, {"ndcg": ndcg})
        advance(f"{candidate}: {study.best_value:.4f}")
    return study


def complete_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that ended with a score."""
    return study.get_trials(states=[optuna.trial.TrialState.COMPLETE])


def better_settings(
    candidate: str, study: optuna.Study, settings: ModelSettings, tasks: Sequence[Task], config: TuneConfig
) -> Changes:
    """Return what the best trial has changed, if that is better than the settings in use by more than chance."""
    best = with_changes(settings, study.best_params)
    challenger, champion = (score(candidate, tried, tasks, config) for tried in (best, settings))
    if not better_by_more_than_chance(-challenger, -champion):  # the users' nDCG, of which more is better
        return {}
    return {
        name: value_of(best, name) for name in study.best_params if value_of(best, name) != value_of(settings, name)
    }


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def score(candidate: str, settings: ModelSettings, tasks: Sequence[Task], config: TuneConfig) -> Floats:
    """Return the nDCG of each user, the mean over the tasks that they are in, of a candidate with these settings."""
    ndcg = np.full((len(tasks), tasks[0].before.n_users), np.nan)
    for row, task in zip(ndcg, tasks, strict=True):
        recipe = recipes(settings, task.before, task.catalogue, seed=config.seed)[candidate]
        lists = lists_for(recipe.fit(task.before.matrix()), task, k=config.k, weigh=recipe.weigh)
        row[task.users] = accuracy(lists, task, k=config.k)["ndcg"]
    return np.asarray(np.nanmean(ndcg[:, np.isfinite(ndcg).any(axis=0)], axis=0))


def value_of(settings: ModelSettings, name: str) -> float | int:
    """Return a setting by its name, such as ``ease.penalty``."""
    part, key = name.split(".")
    return cast("float | int", getattr(getattr(settings, part), key))


def with_changes(settings: ModelSettings, changes: Mapping[str, float | int]) -> ModelSettings:
    """Return the settings with other values, such as of ``ease.penalty``, of three digits: more mean nothing."""
    for name, value in changes.items():
        part, key = name.split(".")
        rounded = value if isinstance(value, int) else float(f"{value:.3g}")
        settings = settings.model_copy(update={part: getattr(settings, part).model_copy(update={key: rounded})})
    return settings


def file_to_write(config: TuneConfig, data: Dataset) -> Path:
    """Return the package's `tuned.json` for the data that it was found on, else a file beside the study."""
    usual = TuneConfig.model_fields["dataset"].default
    is_committed = data.source.kind == "full" and config.dataset == usual
    return config.output or (COMMITTED if is_committed else config.study.with_suffix(".json"))


def write(settings: ModelSettings, summary: Summary, data: Dataset, config: TuneConfig) -> None:
    """Write the settings and the studies' summary; the other split's part stays."""
    path = file_to_write(config, data)
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    where = "the validation part" if config.split == "time" else f"{SPLITS_OF_RANDOM} re-splits of all but the test"
    study = {
        "data_sha256": data.sha256,
        "objective": f"mean nDCG@{config.k} over users on {where}",
        "borrowed": sorted(BORROWED[config.split] & summary["fits"].keys()),
        "standard_errors": STANDARD_ERRORS,
        **summary,
    }
    stored[config.split] = {"study": study, "settings": settings.model_dump(mode="json")}
    path.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
