"""Search hyper-parameters on the validation part: run once for each split, the result is committed as `tuned.json`.

One setting after the other is tried at all values of its grid, the others as found so far, and then all of it again. It
starts from the settings in use and changes one only where that is better by more than chance, which is the gate's rule
too: of many settings that are about equally good, the highest on one validation part is seldom the best. The test is
never touched: it is not even a part of what the random split's three validation parts are drawn from.

Candidates that the data are too large for are left out, and named. What was found is written after each candidate, so
that a search that is stopped keeps the candidates it finished.

Two candidates are searched to see what their settings cost, and what is found for them is not taken (`BORROWED`): ALS
with a fading history, which has the factors' settings of ALS and weighs a history as EASE does; and on random ratings
the served EASE, which stands there with what is served, so that one model meets all splits.

Not searched are `min_raters` and `rank` of the served model. More films and more directions would not make it better
by more than chance, but they would let single histories be read from it (README, "Privacy").
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np
from rich.console import Console
from threadpoolctl import threadpool_limits

from portfolio_shared.terminal import progress
from recommender.config import TUNED, ModelSettings, SplitName, TuneConfig, tuned_settings
from recommender.data.load import Loaded, load_movielens
from recommender.data.splits import split_at_random, split_by_user_time
from recommender.evaluation.candidates import ALS, ALS_FADING, EASE, FULL, ITEMS, USERS, Recipe, left_out, recipes
from recommender.evaluation.evaluate import Floats, Task, accuracy, lists_for, make_task

STANDARD_ERRORS = 1.96  # of the paired difference over users, by which a setting must be better to be taken
SPLITS_OF_RANDOM, SHARE_OF_RANDOM = 3, 0.15
MOST_USERS = 10_000  # that settings are measured on; of more, so many are drawn
Value = float | int
Grid = dict[str, Sequence[Value]]

ALS_GRID: Grid = {
    "als.n_factors": (32, 64, 128, 192),
    "als.regularization": (1, 3, 10, 30, 100),
    "als.alpha": (1, 2, 5, 10),
}
GRIDS: dict[str, Grid] = {
    FULL: {
        "ease.penalty": (50, 100, 150, 200, 300, 400, 600, 800),
        "history.half_life_share": (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
        "history.half_life_films": (1, 2, 3, 5, 10),
        "history.rating_slope": (0.0, 0.1, 0.2, 0.3),
        "ease.genre_weight": (0, 1, 2, 3, 4, 6),
        "ease.year_weight": (0, 1, 2, 3, 4, 6),
        "ease.length_exponent": (0.0, 0.1, 0.15, 0.2, 0.3),
    },
    EASE: {"peers.ease_penalty": (100, 200, 300, 400, 600, 800)},
    USERS: {"peers.user_neighbours": (20, 40, 80, 120)},
    ITEMS: {"peers.item_neighbours": (20, 50, 100, 200)},
    ALS: ALS_GRID,
    ALS_FADING: {
        **ALS_GRID,
        "history.half_life_share": (0.05, 0.1, 0.15, 0.2, 0.3),
        "history.rating_slope": (0.0, 0.1, 0.2, 0.3),
    },
}
"""Candidate -> setting -> values. A peer has a grid of its own: each is compared at its best."""

BORROWED: dict[SplitName, frozenset[str]] = {"time": frozenset({ALS_FADING}), "random": frozenset({FULL})}
"""Candidates with settings that were found elsewhere: what would be best for them is recorded, and not taken."""

ORDER_MEANS_NOTHING = {"history.half_life_share", "history.half_life_films", "history.rating_slope"}
"""Not searched for random ratings, where what was rated last says nothing about what was hidden."""


@dataclass
class Study:
    """What was tried: the mean nDCG of every setting of every candidate, and which settings were better than before."""

    tried: dict[str, list[float]] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    changed: dict[str, dict[str, Value | None]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    users: int = 0


def tune(config: TuneConfig, console: Console | None = None) -> ModelSettings:
    """Search the grids and write the best settings of this split; return them."""
    console = console or Console()
    data = load_movielens(config.data, dataset=config.dataset)
    console.print(data.source.reason)
    tasks = validation_tasks(data, config)
    settings = tuned_settings(config.split).model_copy(update={"ease": tuned_settings("time").ease})
    study = Study(left_out=_left_out(settings, tasks), users=max(len(task.users) for task in tasks))
    for said in study.left_out:
        console.print(f"Not searched: {said}")
    available = [recipes(settings, task.before, task.catalogue) for task in tasks]
    grids = {
        candidate: grid
        for candidate, grid in grids_of(config.split).items()
        if all(candidate in found for found in available)
    }
    total = sum(len(values) for grid in grids.values() for values in grid.values()) * config.rounds
    with progress(console, f"{total} trials", total=total) as advance:
        for candidate, grid in grids.items():
            found = search(candidate, grid, settings, tasks, config=config, study=study, advance=advance)
            study.changed[candidate] = changes(settings, found)
            settings = settings if candidate in BORROWED[config.split] else found
            write(settings, study, data, config)
    for candidate, values in study.tried.items():
        console.print(f"{candidate}: nDCG@{config.k} {study.best[candidate]:.4f}, best of {len(values)} fits")
    console.print(f"Written to {TUNED}")
    return settings


def _left_out(settings: ModelSettings, tasks: Sequence[Task]) -> list[str]:
    """Say which candidates one of the tasks is too large for, each once."""
    return list(dict.fromkeys(said for task in tasks for said in left_out(settings, task.before)))


def grids_of(split: SplitName) -> dict[str, Grid]:
    """Return what is searched for this split; where order means nothing, ALS that fades would be ALS again."""
    if split == "time":
        return dict(GRIDS)
    return {
        candidate: {name: values for name, values in grid.items() if name not in ORDER_MEANS_NOTHING}
        for candidate, grid in GRIDS.items()
        if candidate != ALS_FADING
    }


def validation_tasks(data: Loaded, config: TuneConfig) -> list[Task]:
    """Return what settings are measured on.

    By time it is the validation part. The random split's own validation part trains on 56 % of the ratings, and what
    was best there was not best on 75 %: there it is three re-splits of everything but the test, hiding 15 % each.
    """
    ratings, catalogue = data.movielens.ratings, data.movielens.catalogue
    if config.split == "time":
        split = split_by_user_time(ratings)
        return [make_task(split.train, split.validation, catalogue, max_users=MOST_USERS, seed=config.seed)]
    before_test = split_at_random(ratings, seed=config.seed).before_test
    seeds = range(config.seed + 1, config.seed + 1 + SPLITS_OF_RANDOM)
    again = [split_at_random(before_test, share=SHARE_OF_RANDOM, seed=seed) for seed in seeds]
    return [
        make_task(split.before_test, split.test, catalogue, max_users=MOST_USERS, seed=config.seed) for split in again
    ]


def search(
    candidate: str,
    grid: Grid,
    settings: ModelSettings,
    tasks: list[Task],
    *,
    config: TuneConfig,
    study: Study,
    advance: Callable[[str], None] = lambda _: None,
) -> ModelSettings:
    """Return the settings with those of one candidate at their best."""
    best = score(candidate, settings, tasks, config)
    study.tried[candidate] = [float(best.mean())]
    for _ in range(config.rounds):
        for name, values in grid.items():
            for trial in _with_each(settings, name, values):
                found = score(candidate, trial, tasks, config)
                study.tried[candidate].append(float(found.mean()))
                if is_better(found, best):
                    best, settings = found, trial
                advance(f"{candidate}: {best.mean():.4f}")
    study.best[candidate] = float(best.mean())
    return settings


def changes(before: ModelSettings, after: ModelSettings) -> dict[str, Value | None]:
    """Return the settings that differ, such as ``ease.penalty``, with their new values."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {
        f"{part}.{name}": value
        for part, values in new.items()
        if isinstance(values, dict)
        for name, value in values.items()
        if value != old[part][name]
    }


def is_better(challenger: Floats, champion: Floats) -> bool:
    """Return whether the mean of the first is higher by more than chance; scores of the same users, (n_users,) each.

    Examples
    --------
    >>> is_better(np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.2, 0.3]))
    True
    >>> is_better(np.array([0.2, 0.3, 0.9]), np.array([0.2, 0.3, 0.5]))  # one user alone
    False
    """
    difference = challenger - champion
    error = float(np.std(difference, ddof=1)) / np.sqrt(len(difference))
    return bool(difference.mean() > STANDARD_ERRORS * error)


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def score(candidate: str, settings: ModelSettings, tasks: list[Task], config: TuneConfig) -> Floats:
    """Return the nDCG of each user, the mean over the tasks that they are in, of a candidate with these settings."""
    found = np.full((len(tasks), tasks[0].before.n_users), np.nan)
    for row, task in zip(found, tasks, strict=True):
        recipe: Recipe = recipes(settings, task.before, task.catalogue, seed=config.seed)[candidate]
        model = recipe.fit(task.before.matrix())
        lists = lists_for(model, task.before, task.users, k=config.k, weigh=recipe.weigh)
        row[task.users] = accuracy(lists, task, k=config.k)["ndcg"]
    return np.asarray(np.nanmean(found[:, np.isfinite(found).any(axis=0)], axis=0))


def _with_each(settings: ModelSettings, name: str, values: Sequence[Value]) -> Iterator[ModelSettings]:
    """Yield the settings with one of them, such as ``ease.penalty``, at each of its values."""
    part, key = name.split(".")
    for value in values:
        changed = getattr(settings, part).model_copy(update={key: value})
        yield settings.model_copy(update={part: changed})


def write(settings: ModelSettings, study: Study, data: Loaded, config: TuneConfig) -> None:
    """Write the settings and the study's summary to the package's `tuned.json`; the other split's part stays."""
    path = Path(str(files("recommender").joinpath(TUNED)))
    stored = json.loads(path.read_text(encoding="utf-8"))
    where = "the validation part" if config.split == "time" else f"{SPLITS_OF_RANDOM} re-splits of all but the test"
    summary = {
        "data_sha256": data.sha256,
        "objective": f"mean nDCG@{config.k} over users on {where}",
        "users": study.users,
        "left_out": study.left_out,
        "borrowed": sorted(BORROWED[config.split] & study.tried.keys()),
        "rounds": config.rounds,
        "standard_errors": STANDARD_ERRORS,
        "fits": {candidate: len(values) for candidate, values in study.tried.items()},
        "first": {candidate: round(values[0], 4) for candidate, values in study.tried.items()},
        "best": {candidate: round(value, 4) for candidate, value in study.best.items()},
        "changed": study.changed,
        "median": {candidate: round(float(np.median(values)), 4) for candidate, values in study.tried.items()},
    }
    stored[config.split] = {"study": summary, "settings": settings.model_dump(mode="json")}
    path.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
