"""Search hyper-parameters inside the training part: on the public data once, its result is committed as `tuned.json`.

The study lives in SQLite and resumes where it stopped. Its best trial replaces the settings in use only where it is
better by more than chance: of many settings that are about equally good, the lowest error on five folds is seldom the
best. These folds are not those on which `train.py` compares the candidates, and the test split is never touched. What a
search on other data finds is written beside its study, and `train --tuned` reads it.
"""

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from rich.console import Console

from housing.config import MODEL_NAME, TUNED, LinearSettings, ModelSettings, TreeSettings, TuneConfig, tuned_settings
from housing.data.load import Dataset, Split, load, split
from housing.models.fit import fit_members
from housing.models.intervals import MemberPrices
from portfolio_shared.evaluation.regression import root_mean_squared_log_error
from portfolio_shared.evaluation.uncertainty import STANDARD_ERRORS, better_by_more_than_chance
from portfolio_shared.terminal import progress
from portfolio_shared.tracking.client import check_server
from portfolio_shared.tracking.runs import UNTRACKED, RunLog, tracked_run

Floats = NDArray[np.float64]

COMMITTED = Path(str(files("housing").joinpath(TUNED)))
FOLD_SEED = 1000
WEIGHTS = np.linspace(0, 1, 21)
FINISHED = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)


def tune(config: TuneConfig, console: Console | None = None) -> None:
    """Run (or go on with) the study, and write its best settings where they are better than those in use."""
    console = console or Console()
    if uri := config.tracking_uri:
        check_server(uri)
    data = load(config.data)
    console.print(data.source.reason)
    study = open_study(config, data)
    left = max(0, config.trials - len(study.get_trials(deepcopy=False, states=FINISHED)))
    parts, in_use = split(data, fold_seed=FOLD_SEED), tuned_settings()
    objective = Objective(parts, config.threads)
    run = tracked_run(uri, experiment=MODEL_NAME, run_name="tuning") if uri else nullcontext(UNTRACKED)
    with run as tracked, progress(console, f"{left} trials", total=left) as advance:
        study.optimize(objective, n_trials=left, callbacks=[log_trial(tracked, advance)])
    best = settings_of(study.best_trial)
    console.print(f"Best of {len(study.trials)} trials: RMSLE {study.best_value:.5f}")
    challenger, champion = (fold_errors(parts, settings, threads=config.threads) for settings in (best, in_use))
    taken = better_by_more_than_chance(challenger, champion)
    console.print(f"{'Better' if taken else 'Not better'} by more than chance than the settings in use")
    if not config.write:
        console.print("Nothing is written")
        return
    path = config.output or (COMMITTED if data.source.kind == "full" else config.study.with_suffix(".json"))
    write(path, best if taken else in_use, study, data, taken=taken)
    console.print(f"Written to {path}" + ("" if path == COMMITTED else f"; housing train --tuned {path} reads it"))


def open_study(config: TuneConfig, data: Dataset) -> optuna.Study:
    """Open the study of these data, or start one with the committed settings as its first trial."""
    config.study.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=f"housing-{data.sha256[:12]}",
        storage=f"sqlite:///{config.study}",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=8, n_warmup_steps=1),
    )
    # A sampler that started from the same seed again would draw the settings of the first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=config.seed + len(study.trials), multivariate=True)
    if not study.trials:
        study.enqueue_trial(flat(tuned_settings()))
    return study


def log_trial(
    tracked: RunLog, advance: Callable[[str], None]
) -> Callable[[optuna.Study, optuna.trial.FrozenTrial], None]:
    """Return the callback that logs a finished trial as a child run and moves the bar."""

    def after(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        metrics = {} if trial.value is None else {"rmsle": trial.value}
        tracked.child(f"trial {trial.number}", {**trial.params, "state": trial.state.name}, metrics)
        advance(f"best RMSLE so far {study.best_value:.5f}")

    return after


@dataclass(frozen=True)
class Objective:
    """Cross-validated RMSLE of the blend, at the weight that is best for these settings."""

    split: Split
    threads: int

    def __call__(self, trial: optuna.Trial) -> float:
        settings = suggest(trial)
        fold, prices = self.split.validation, self.split.train.prices
        linear, trees = np.empty(len(prices)), np.empty(len(prices))
        for k, (out, inside, outside) in enumerate(self.split.folds()):
            members = fit_members(inside.records, inside.prices, settings, threads=self.threads)
            linear[out], trees[out] = members.log_prices(outside.records)
            done = fold <= k
            trial.report(best_weight(linear[done], trees[done], prices[done])[1], step=k)
            if trial.should_prune():
                raise optuna.TrialPruned
        weight, error = best_weight(linear, trees, prices)
        trial.set_user_attr("linear_weight", weight)
        return error


def fold_errors(split: Split, settings: ModelSettings, *, threads: int) -> list[float]:
    """Return the RMSLE of the blend on each fold."""
    errors = []
    for _, inside, outside in split.folds():
        members = fit_members(inside.records, inside.prices, settings, threads=threads)
        log_prices = MemberPrices(*members.log_prices(outside.records)).blend(settings.linear_weight)
        errors.append(root_mean_squared_log_error(outside.prices, np.exp(log_prices)))
    return errors


def best_weight(linear: Floats, trees: Floats, prices: Floats) -> tuple[float, float]:
    """Return (weight of the linear member, RMSLE) of the best blend on a grid of 0.05."""
    errors = [root_mean_squared_log_error(prices, np.exp(w * linear + (1 - w) * trees)) for w in WEIGHTS]
    best = int(np.argmin(errors))
    return round(float(WEIGHTS[best]), 2), errors[best]


def suggest(trial: optuna.Trial) -> ModelSettings:
    """Draw the settings of a trial; what is not searched stays at its default."""
    linear = LinearSettings(
        ridge=trial.suggest_float("ridge", 2.0, 40.0, log=True),
        hinge_weight=trial.suggest_float("hinge_weight", 0.3, 1.0),
        knots=trial.suggest_int("knots", 3, 8),
        clip_high=trial.suggest_float("clip_high", 0.98, 1.0),
        huber=trial.suggest_float("huber", 1.0, 3.0),
    )
    trees = TreeSettings(
        iterations=trial.suggest_int("iterations", 600, 1500, step=100),
        learning_rate=trial.suggest_float("learning_rate", 0.02, 0.08, log=True),
        depth=trial.suggest_int("depth", 4, 6),
        rsm=trial.suggest_float("rsm", 0.05, 0.3, log=True),
        l2_leaf_reg=trial.suggest_float("l2_leaf_reg", 0.3, 10.0, log=True),
        border_count=trial.suggest_int("border_count", 32, 128, log=True),
    )
    return ModelSettings(linear=linear, trees=trees)


def flat(settings: ModelSettings) -> dict[str, float]:
    """Return the searched values of these settings, as a trial names them."""
    linear = settings.linear.model_dump(include={"ridge", "hinge_weight", "knots", "clip_high", "huber"})
    return {**linear, **settings.trees.model_dump(exclude={"seeds"})}


def settings_of(trial: optuna.trial.FrozenTrial) -> ModelSettings:
    """Return the settings of a finished trial, with the weight that was best for them."""
    drawn = suggest(optuna.trial.FixedTrial(trial.params))  # type: ignore[arg-type]
    return drawn.model_copy(update={"linear_weight": trial.user_attrs["linear_weight"]})


def write(path: Path, settings: ModelSettings, study: optuna.Study, data: Dataset, *, taken: bool) -> None:
    """Write the settings and the study's summary."""
    complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    summary = {
        "data_sha256": data.sha256,
        "objective": "RMSLE of the blend, 5 folds inside the training part",
        "trials": len(study.trials),
        "complete": len(complete),
        "pruned": sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials),
        "best_trial": study.best_trial.number,
        "best_rmsle": round(study.best_value, 5),
        "first_rmsle": round(complete[0].value or 0.0, 5),
        "standard_errors": STANDARD_ERRORS,
        "taken": taken,
        "median_rmsle": round(float(np.median([trial.value for trial in complete])), 5),
        "importance": {name: round(value, 3) for name, value in optuna.importance.get_param_importances(study).items()}
        if len(complete) > 3
        else {},
    }
    text = json.dumps({"study": summary, "settings": settings.model_dump(mode="json")}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
