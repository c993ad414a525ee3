"""The numbers that prose names, each made from what a command recorded or from a constant of the code."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from portfolio_shared.evaluation.uncertainty import Interval
from recommender.data.splits import HIDDEN
from recommender.evaluation import bias_variance, experiment, tastes
from recommender.evaluation.cold_start import ColdStart
from recommender.evaluation.diversity import DiversityPoint
from recommender.evaluation.errors import RATED_BY
from recommender.evaluation.figures import SERVED, certain_from, free_diversity
from recommender.evaluation.order import BOTH, CHAIN, RULES
from recommender.evaluation.pause import EVEN
from recommender.evaluation.tables import percent
from recommender.models.fit import ALS_RECENT, EASE, ITEMS, POPULARITY
from recommender.models.history_weights import HistoryWeights

Recorded = Mapping[str, Any]

HOURS_A_MONTH, MACHINES, CORES = 730, 2, 2  # two small machines: one may fail
LISTS_A_DAY = 100_000
SECONDS_A_DAY = 86_400


def of_report(recorded: Recorded) -> dict[str, str]:
    """Return the numbers of a report on the public data."""
    return {
        **_of_data(recorded),
        **_of_test(recorded),
        **_of_groups(recorded),
        **_of_studies(recorded),
        **_of_experiment(recorded["test"][SERVED]["hit_rate"]["estimate"]),
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
        "ndcg": _three(served["ndcg"]),
        "ndcg_two": f"{served['ndcg']['estimate']:.2f}",
        "ndcg_interval": _interval(served["ndcg"]),
        "ndcg_popular": _three(popular["ndcg"]),
        "ndcg_rival": _three(test[ALS_RECENT]["ndcg"]),
        "ndcg_ease": _three(test[EASE]["ndcg"]),
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
        "pause_ndcg": _three(pause["ndcg"]["served model"]),
        "pause_even": _three(pause["ndcg"][EVEN]),
        "pause_popular": _three(pause["ndcg"]["popularity"]),
        "pause_items": _three(pause["ndcg"][ITEMS]),
        "pause_loss": _interval(_turned(pause["difference"][EVEN])),
        "seen": percent(recorded["reliability"][0]["watched"], 1),
        "stated": percent(recorded["reliability"][0]["chance"], 1),
    }


def _of_groups(recorded: Recorded) -> dict[str, str]:
    """Return the numbers of groups of people, of those groups that these data have."""
    groups, stated = {each["name"]: each for each in recorded["groups"]}, {}
    for name, short in {"under 30": "short", "150 and more": "long", "under an hour": "same_hour"}.items():
        if name in groups:
            stated[short] = f"{groups[name]['users']:,}"
            stated[f"{short}_share"] = percent(groups[name]["users"] / recorded["users"]["users evaluated"])
            stated[f"{short}_hit"] = percent(groups[name]["hit_rate"])
            stated[f"{short}_ndcg"] = _three(groups[name]["ndcg"])
    return stated


def _of_studies(recorded: Recorded) -> dict[str, str]:
    """Return the numbers of the steps, of order alone, of new people and of the other studies."""
    steps = {step["name"]: step["ndcg"] for step in recorded["ablation"]}
    plain, recent, *_ = steps.values()
    order, ease = recorded["order"], recorded["settings"]["ease"]
    starts = [ColdStart(**{**each, **_intervals(each)}) for each in recorded["cold_start"]]
    points = [DiversityPoint(**{**each, **_intervals(each)}) for each in recorded["diversity"]]
    return {
        "penalty": f"{ease['penalty']:g}",
        "rank": str(ease["rank"]),
        "raters": str(ease["min_raters"]),
        "rare": str(RATED_BY),
        **_of_weights(recorded["settings"]["history"]),
        "validation": _three(steps[f"+ rank {ease['rank']} (the whole model)"]),
        "validation_ease": _three(plain),
        "validation_recent": _three(recent),
        "validation_popular": f"{recorded['candidates'][POPULARITY]['ndcg']:.3f}",
        "fit_seconds": f"{recorded['candidates'][recorded['chosen']]['fit_seconds']:.1f}",
        "chain": _three(order["test"]["ndcg"][CHAIN]),
        "rules": _three(order["test"]["ndcg"][RULES]),
        "both": _three(order["test"]["ndcg"][BOTH]),
        "both_gain": _interval(_turned(order["test"]["difference"][BOTH])),
        "rules_later": _three(order["pause"]["ndcg"][RULES]),
        "both_later": _three(order["pause"]["ndcg"][BOTH]),
        "cold_certain": str(certain_from(starts)),
        "free_diversity": f"{free_diversity(points):g}",
        "cold_1": _three(recorded["cold_start"][0]["ndcg"]),
        "cold_popular": _three(recorded["cold_start"][0]["popularity"]),
        "cold_50": _three(recorded["cold_start"][-1]["ndcg"]),
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
        "hidden_share": percent(HIDDEN),
    }


def _of_experiment(hit: float) -> dict[str, str]:
    arm = experiment.people_per_arm(hit, experiment.DIFFERENCE)
    return {
        "ab_difference": f"{100 * experiment.DIFFERENCE:.0f}",
        "ab_level": percent(experiment.LEVEL),
        "ab_power": percent(experiment.POWER),
        "ab_arm": f"{arm:,}",
        "ab_both": f"{2 * arm:,}",
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
        "sample_ndcg": _three(test[SERVED]["ndcg"]),
        "sample_popular": _three(test[POPULARITY]["ndcg"]),
        "sample_hit": percent(test[SERVED]["hit_rate"]["estimate"]),
        "sample_rules": _three(order["test"]["ndcg"][RULES]),
        "sample_rules_later": _three(order["pause"]["ndcg"][RULES]),
        "sample_rules_gain": _interval(_turned(order["test"]["difference"][RULES])),
        "sample_even": _three(recorded["fading"]["even"]),
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


def of_benchmarks(results: Path) -> dict[str, str]:
    """Return the numbers of the benchmarks whose records are there."""
    found: dict[str, str] = {}
    if (path := results / "recommender.json").is_file():
        served = {row["split"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"] if row["served"]}
        for name, row in served.items():
            found |= {f"{name}_ndcg": _three(row["ndcg"]), f"{name}_users": f"{row['users']:,}"}
        found["random_two"] = f"{served['random']['ndcg']['estimate']:.2f}"
        found["flattery"] = f"{served['random']['ndcg']['estimate'] / served['time']['ndcg']['estimate']:.1f}"
    if (path := results / "recommender_serving.json").is_file():
        ours = json.loads(path.read_text(encoding="utf-8"))["rows"]["ours"]
        busy = LISTS_A_DAY / SECONDS_A_DAY * ours["16"]["cpu_ms"] / 1000
        found |= {
            "a_second": f"{ours['16']['a_second']:,.0f}",
            "p50": f"{ours['1']['p50']:.2f}",
            "p99": f"{ours['16']['p99']:.0f}",
            "cpu_ms": f"{ours['16']['cpu_ms']:.2f}",
            "memory": f"{ours['rss_mb']:.0f}",
            "a_day": f"{LISTS_A_DAY:,}",
            "busy": percent(busy, 2),
            "busy_1000": f"{1000 * busy:.1f}",
        }
    if (path := results.parent / "system_design.toml").is_file():
        price = tomllib.loads(path.read_text(encoding="utf-8"))["assumed"]["core_hour"]["value"]
        found["month"] = f"${MACHINES * CORES * HOURS_A_MONTH * price:,.0f}"
    if (path := results / "recommender_large.json").is_file():
        large = json.loads(path.read_text(encoding="utf-8"))
        fit = next(row for row in large["models"] if row["name"] == large["chosen"])
        found |= {"large_ratings": f"{large['ratings']:,}", "large_seconds": f"{fit['fit_seconds']:.0f}"}
    if (path := results / "recommender_privacy.json").is_file():
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        exact, served_row = rows[0], next(row for row in rows if row["served"])
        found |= {
            "read_exact": percent(exact["read_completely"]),
            "read_served": percent(served_row["read_completely"]),
            "read_share": percent(served_row["share_read"]),
            "guess_member": percent(served_row["precision_members"]),
            "guess_other": percent(served_row["precision_non_members"]),
        }
    return found


def _intervals(stored: Recorded) -> dict[str, Interval]:
    return {name: Interval(**value) for name, value in stored.items() if isinstance(value, Mapping)}


def _three(stored: Recorded) -> str:
    return f"{stored['estimate']:.3f}"


def _interval(stored: Recorded) -> str:
    return f"{stored['low']:.3f} to {stored['high']:.3f}"


def _turned(stored: Recorded) -> dict[str, float]:
    return {"estimate": -stored["estimate"], "low": -stored["high"], "high": -stored["low"]}


def _sum(groups: Mapping[str, float]) -> float:
    return sum(groups.values())
