"""The numbers that prose names, each made from what a command recorded or from a constant of the code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from portfolio_shared.evaluation.uncertainty import Interval
from recommender.evaluation import bias_variance, experiment, tastes
from recommender.evaluation.by_code import by_code
from recommender.evaluation.cold_start import ColdStart
from recommender.evaluation.diversity import DiversityPoint
from recommender.evaluation.errors import RATED_BY
from recommender.evaluation.figures import SERVED, certain_from, free_diversity
from recommender.evaluation.measured import studies
from recommender.evaluation.order import BOTH, CHAIN, RULES
from recommender.evaluation.pause import EVEN
from recommender.evaluation.tables import percent, span, three
from recommender.evaluation.toy import people
from recommender.models.fit import ALS, ALS_RECENT, EASE, ITEMS, POPULARITY, USERS
from recommender.models.history_weights import HistoryWeights

Recorded = Mapping[str, Any]


def of_report(recorded: Recorded) -> dict[str, str]:
    """Return the numbers of a report on the public data."""
    return {
        **_of_data(recorded),
        **_of_test(recorded),
        **_of_rivals(recorded),
        **_of_groups(recorded),
        **_of_studies(recorded),
        **_of_experiment(recorded["test"][SERVED]["hit_rate"]["estimate"]),
        **by_code(),
    }


def _of_data(recorded: Recorded) -> dict[str, str]:
    explored, users = recorded["explored"], recorded["users"]
    read = recorded["data"]["report"]["rows_read"]
    return {
        "ratings": f"{read:,}",
        "people": f"{users['users evaluated']:,}",
        "films": f"{explored['films']:,}",
        "weights": f"{explored['films'] ** 2 / 1e6:.0f} million",
        "within_an_hour": percent(explored["within_an_hour"]),
        "seconds_between": f"{explored['seconds_between']:.0f}",
        "films_a_sitting": f"{explored['films_a_sitting']:.0f}",
        "rated_once": percent(explored["rated_once"]),
        "top_films": percent(explored["ratings_of_top_0.1"]),
        "new_films": f"{users['films of the test that nobody rated before']:,}",
        "new_ratings": f"{users['ratings of such films, which count as missed']:,}",
        "hidden": f"{users['ratings in the test']:,}",
        "learned_from": f"{users['ratings to learn from']:,}",
    }


def _of_test(recorded: Recorded) -> dict[str, str]:
    test, pause = recorded["test"], recorded["pause"]
    served, popular = test[SERVED], test[POPULARITY]
    return {
        "k": str(recorded["k"]),
        "ndcg": three(served["ndcg"]),
        "ndcg_two": f"{served['ndcg']['estimate']:.2f}",
        "ndcg_interval": span(served["ndcg"]),
        "hit": percent(served["hit_rate"]["estimate"]),
        "miss": percent(1 - served["hit_rate"]["estimate"]),
        "hit_popular": percent(popular["hit_rate"]["estimate"]),
        "right_of_ten": f"{10 * served['precision']['estimate']:.1f}",
        "recall": percent(served["recall"]["estimate"]),
        "novelty": f"{served['novelty']['estimate']:.1f}",
        "one_in": f"{2 ** served['novelty']['estimate']:.0f}",
        "novelty_popular": f"{popular['novelty']['estimate']:.1f}",
        "diversity": f"{served['diversity']['estimate']:.2f}",
        "diversity_popular": f"{popular['diversity']['estimate']:.2f}",
        "lift_number": f"{served['popularity_lift']['estimate']:.2f}",
        "lift_popular_number": f"{popular['popularity_lift']['estimate']:.2f}",
        "lift": percent(served["popularity_lift"]["estimate"]),
        "lift_popular": percent(popular["popularity_lift"]["estimate"]),
        "coverage": percent(served["coverage"]),
        "coverage_popular": percent(popular["coverage"]),
        "pause_people": f"{pause['users']:,}",
        "pause_ndcg": three(pause["ndcg"]["served model"]),
        "pause_even": three(pause["ndcg"][EVEN]),
        "pause_popular": three(pause["ndcg"]["popularity"]),
        "pause_items": three(pause["ndcg"][ITEMS]),
        "pause_loss": span(_turned(pause["difference"][EVEN])),
        **_of_chances(recorded["reliability"][0]),
    }


def _of_chances(whole: Recorded) -> dict[str, str]:
    """Return how true the chances of whole histories are."""
    return {
        "seen": percent(whole["watched"], 1),
        "stated": percent(whole["chance"], 1),
        "overstated": percent(whole["chance"] / whole["watched"] - 1),
    }


def _of_rivals(recorded: Recorded) -> dict[str, str]:
    """Return the nDCG of the other models on the test, and the served model's lead over them on the same people."""
    test, leads, alike, study = recorded["test"], recorded["leads"], recorded["alike"], studies()["time"]
    names = {"popular": POPULARITY, "ease": EASE, "als": ALS, "rival": ALS_RECENT, "items": ITEMS, "users": USERS}
    return {
        **{f"ndcg_{short}": three(test[name]["ndcg"]) for short, name in names.items()},
        "lead_popular": three(leads[POPULARITY]["ndcg"]),
        "lead_popular_interval": span(leads[POPULARITY]["ndcg"]),
        "lead_rival_interval": span(leads[ALS_RECENT]["ndcg"]),
        "ndcg_alike": three(alike["ndcg"]),
        "lead_alike": three(alike["lead"]),
        "lead_alike_interval": span(alike["lead"]),
        "trials": str(min(study["fits"].values())),
        "rival_used": f"{study['first'][ALS_RECENT]:.3f}",
        "rival_best": f"{study['best'][ALS_RECENT]:.3f}",
    }


def _of_groups(recorded: Recorded) -> dict[str, str]:
    """Return the numbers of groups of people, of those groups that these data have."""
    groups, stated = {each["name"]: each for each in recorded["groups"]}, {}
    for name, short in {"under 30": "short", "150 and more": "long", "under an hour": "same_hour"}.items():
        if name in groups:
            stated[short] = f"{groups[name]['users']:,}"
            stated[f"{short}_share"] = percent(groups[name]["users"] / recorded["users"]["users evaluated"])
            stated[f"{short}_hit"] = percent(groups[name]["hit_rate"])
            stated[f"{short}_ndcg"] = three(groups[name]["ndcg"])
    return stated


def _of_studies(recorded: Recorded) -> dict[str, str]:
    """Return the numbers of the steps, of order alone, of new people and of the other studies."""
    steps = {step["name"]: step["ndcg"] for step in recorded["ablation"]}
    plain, recent, _, featured, _, full_rank, whole, *_ = steps.values()
    order, ease = recorded["order"], recorded["settings"]["ease"]
    starts = [ColdStart(**{**each, **_intervals(each)}) for each in recorded["cold_start"]]
    points = [DiversityPoint(**{**each, **_intervals(each)}) for each in recorded["diversity"]]
    return {
        "toy_people": people(),
        "penalty": f"{ease['penalty']:g}",
        "rank": str(ease["rank"]),
        "raters": str(ease["min_raters"]),
        "rare": str(RATED_BY),
        **_of_weights(recorded["settings"]["history"]),
        "validation": three(whole),
        "validation_ease": three(plain),
        "validation_full_rank": three(full_rank),
        "validation_recent": three(recent),
        "last_steps": f"{whole['estimate'] - featured['estimate']:.3f}",
        "validation_popular": f"{recorded['candidates'][POPULARITY]['ndcg']:.3f}",
        "fit_seconds": f"{recorded['candidates'][recorded['chosen']]['fit_seconds']:.1f}",
        "chain": three(order["test"]["ndcg"][CHAIN]),
        "rules": three(order["test"]["ndcg"][RULES]),
        "both": three(order["test"]["ndcg"][BOTH]),
        "both_gain": span(_turned(order["test"]["difference"][BOTH])),
        "rules_later": three(order["pause"]["ndcg"][RULES]),
        "both_later": three(order["pause"]["ndcg"][BOTH]),
        "cold_certain": str(certain_from(starts)),
        "free_diversity": f"{free_diversity(points):g}",
        "cold_1": three(recorded["cold_start"][0]["ndcg"]),
        "cold_1_lead": span(recorded["cold_start"][0]["difference"]),
        "cold_popular": three(recorded["cold_start"][0]["popularity"]),
        "cold_50": three(recorded["cold_start"][-1]["ndcg"]),
        **_of_spread(recorded["spread"], ease["penalty"]),
        **_of_tastes(recorded["tastes"]),
    }


def _of_spread(recorded: list[dict[str, Any]], penalty: float) -> dict[str, str]:
    """Return the numbers of bias and variance: at the smallest penalty, at the largest, at the one in use."""
    spread = {each["penalty"]: each for each in recorded}
    ends = {"small": min(spread), "in_use": min(spread, key=lambda each: abs(each - penalty)), "large": max(spread)}
    stated = {"smallest_penalty": f"{ends['small']:g}", "largest_penalty": f"{ends['large']:,.0f}"}
    for name, end in ends.items():
        each = spread[end]
        stated[f"variance_{name}"] = percent(_sum(each["variance"]) / (_sum(each["variance"]) + _sum(each["bias"])))
        stated[f"common_{name}"] = percent(each["overlap"])
        stated[f"popular_{name}"] = percent(each["popular"])
    return {**stated, "refits": str(bias_variance.RESAMPLES)}


def _of_tastes(recorded: Recorded) -> dict[str, str]:
    """Return the numbers of the groups of films."""
    surest = max(recorded["stability"], key=lambda k: recorded["stability"][k])
    return {
        "groups": surest,
        "stability": f"{recorded['stability'][surest]:.2f}",
        "stability_plain": f"{recorded['without_features'][surest]:.2f}",
        "grouped_from": str(tastes.RATERS),
    }


def _of_weights(history: Recorded) -> dict[str, str]:
    """Return what a film of a history weighs, by its stars, and how fast that falls."""
    weigh = HistoryWeights(rating_slope=history["rating_slope"])
    five, two = weigh(np.array([5.0, 2.0])).tolist()
    return {
        "half_life": percent(history["half_life_share"]),
        "five_stars": f"{five:.2f}",
        "two_stars": f"{two:.2f}",
    }


def _of_experiment(hit: float) -> dict[str, str]:
    arm = experiment.people_per_arm(hit, experiment.DIFFERENCE)
    return {
        "ab_difference": f"{100 * experiment.DIFFERENCE:.0f}",
        "ab_level": percent(experiment.LEVEL),
        "ab_power": percent(experiment.POWER),
        "ab_arm": f"{arm:,}",
        "ab_both": f"{2 * arm:,}",
        "ab_most": f"{experiment.people_per_arm(0.5, experiment.DIFFERENCE):,}",
        "ab_week": f"{experiment.A_WEEK:,}",
        "ab_weeks": str(experiment.weeks(arm)),
    }


def of_sample(path: Path) -> dict[str, str]:
    """Return the numbers of the sample that ships; none where it was not measured yet."""
    if not path.is_file():
        return {}
    recorded = json.loads(path.read_text(encoding="utf-8"))
    test, order, miss = recorded["test"], recorded["order"], recorded["miss"]
    return {
        "sample_ratings": recorded["data"]["name"].split()[0],
        "sample_people": f"{recorded['users']:,}",
        "sample_ndcg": three(test[SERVED]["ndcg"]),
        "sample_popular": three(test[POPULARITY]["ndcg"]),
        "sample_hit": percent(test[SERVED]["hit_rate"]["estimate"]),
        "sample_rules": three(order["test"]["ndcg"][RULES]),
        "sample_rules_later": three(order["pause"]["ndcg"][RULES]),
        "sample_rules_gain": span(_turned(order["test"]["difference"][RULES])),
        "sample_even": three(recorded["fading"]["even"]),
        "sample_within_an_hour": percent(recorded["explored"]["within_an_hour"], 1),
        "miss_promised": f"{miss['promised']:.1f}",
        "miss_people": f"{miss['misses']:,}",
        "miss_reason": _reason(miss, recorded["settings"]["ease"]["min_raters"]),
        "miss_place": f"{miss['best_place']:,}" if miss["best_place"] else "none",
    }


def _reason(miss: Recorded, least: int) -> str:
    """Return in a sentence why no film of the list was right, from the places of what came next."""
    if miss["best_place"] is None:
        return f"nothing that came next can be recommended, as fewer than {least} people had rated each of the films."
    never = sum(place is None for _, _, place in miss["watched"])
    return (
        f"of the first {len(miss['watched'])} films that came next, {never or 'none'} had fewer than {least} ratings, "
        f"and the best placed of all stood at {miss['best_place']:,}."
    )


def _intervals(stored: Recorded) -> dict[str, Interval]:
    return {name: Interval(**value) for name, value in stored.items() if isinstance(value, Mapping)}


def _turned(stored: Recorded) -> dict[str, float]:
    return {"estimate": -stored["estimate"], "low": -stored["high"], "high": -stored["low"]}


def _sum(groups: Mapping[str, float]) -> float:
    return sum(groups.values())
