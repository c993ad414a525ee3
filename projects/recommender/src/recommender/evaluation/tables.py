"""The tables of the documents, each made from what `recommender report` recorded."""

from collections.abc import Mapping
from typing import Any

from portfolio_shared.data.checks import stored_report
from portfolio_shared.evaluation.sections import interval_cell, markdown_table
from portfolio_shared.evaluation.tables import candidate_rows
from recommender.evaluation import bias_variance
from recommender.evaluation.candidates import COLUMNS
from recommender.evaluation.errors import LENGTH
from recommender.evaluation.evaluate import METRIC_LABELS
from recommender.evaluation.figures import SERVED
from recommender.evaluation.toy import toy_table
from recommender.models.chance import LISTED
from recommender.models.fit import ALS_RECENT, POPULARITY

Recorded = Mapping[str, Any]

BESIDE = (POPULARITY, ALS_RECENT)
PARTS = {"validation": "validation", "test": "test", "pause": "a day after the last film"}
"""Which data order was measured on, and what tables call it."""


def tables(recorded: Recorded) -> dict[str, str]:
    """Return the marked sections of the project's documents from what was recorded."""
    k, cell = recorded["k"], interval_cell
    users = [[label, f"{number:,}"] for label, number in recorded["users"].items()]
    steps = [[step["name"], cell(step["ndcg"])] for step in recorded["ablation"]]
    points = [
        [f"{point['diversity']:g}", cell(point["ndcg"]), cell(point["intra_list"]), percent(point["coverage"], 1)]
        for point in recorded["diversity"]
    ]
    starts = [
        [str(start["films"]), *(cell(start[name]) for name in ("ndcg", "popularity", "difference"))]
        for start in recorded["cold_start"]
    ]
    candidates = candidate_rows(recorded["candidates"], COLUMNS, chosen=recorded["chosen"])
    start_headings = ["films in the history", f"nDCG@{k}", "popularity, same people", "difference, paired"]
    point_headings = ["setting", f"nDCG@{k}", "diversity of genres", "films recommended"]
    return {
        "data": stored_report(recorded["data"]["report"]).as_markdown(),
        "users": markdown_table(["each user's last 20 %", "number"], users),
        "toy": toy_table(),
        "candidates": markdown_table(*candidates),
        "ablation": markdown_table(["step", f"nDCG@{k} on validation"], steps),
        "result": result_table(recorded["test"], recorded["leads"], k),
        "test": test_table(recorded["test"], k),
        "diversity": markdown_table(point_headings, points),
        "cold-start": markdown_table(start_headings, starts),
        "groups": groups_table([each for each in recorded["groups"] if each["by"] == LENGTH], k),
        "groups-all": groups_table([each for each in recorded["groups"] if each["by"] != LENGTH], k),
        "pause": pause_table(recorded),
        "reliability": reliability_table(recorded),
        "order": order_table(recorded),
        "spread": spread_table(recorded["spread"]),
        "tastes": tastes_table(recorded["tastes"], k),
        "stability": stability_table(recorded["tastes"]),
    }


def percent(share: float, decimals: int = 0) -> str:
    """Return a share as percent.

    Examples
    --------
    >>> percent(0.634), percent(0.1068, 1)
    ('63 %', '10.7 %')
    """
    return f"{share * 100:.{decimals}f} %"


def three(stored: Recorded) -> str:
    """Return a stored interval's estimate with three decimals."""
    return f"{stored['estimate']:.3f}"


def span(stored: Recorded, form: str = ".3f", times: float = 1.0) -> str:
    """Return the two ends of a stored interval.

    Examples
    --------
    >>> span({"low": 0.1, "high": 0.25}), span({"low": 0.1, "high": 0.25}, ".0f", 100)
    ('0.100 to 0.250', '10 to 25')
    """
    return " to ".join(format(times * stored[end], form) for end in ("low", "high"))


def result_table(tested: Recorded, leads: Recorded, k: int) -> str:
    """Return the result in four rows that need no knowledge of metrics, with the lead over two rivals."""

    def row(label: str, metric: str, form: str, times: float = 1.0) -> list[str]:
        def cell(stored: Recorded) -> str:
            return f"{times * stored['estimate']:{form}} ({span(stored, form, times)})"

        rivals = [
            text
            for name in BESIDE
            for text in (f"{times * tested[name][metric]['estimate']:{form}}", cell(leads[name][metric]))
        ]
        return [label, cell(tested[SERVED][metric]), *rivals]

    rows = [
        row(f"people with at least one right film of {k}, percent", "hit_rate", ".0f", 100),
        row(f"right films in a list of {k}, mean", "precision", ".2f", k),
        row("share of what came next that the list had, percent", "recall", ".1f", 100),
        row(f"nDCG@{k}: the same, where early places count more", "ndcg", ".3f"),
    ]
    rivals = ["popular films", "lead over them", f"best rival, {ALS_RECENT}", "lead over it"]
    return markdown_table(["test", "served model", *rivals], rows)


def test_table(tested: Recorded, k: int) -> str:
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


def groups_table(groups: list[dict[str, Any]], k: int) -> str:
    """Return how good lists are by group of people."""
    rows = [
        [f"{each['by']}: {each['name']}", str(each["users"]), interval_cell(each["ndcg"]), percent(each["hit_rate"])]
        for each in groups
    ]
    return markdown_table(["people of the test", "number", f"nDCG@{k}", "hit rate"], rows)


def pause_table(recorded: Recorded) -> str:
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


def order_table(recorded: Recorded) -> str:
    """Return what models that know order alone come to, beside the served model and together with it."""
    order, rows = recorded["order"], []
    for part, label in PARTS.items():
        for name, ndcg in order[part]["ndcg"].items():
            difference = order[part]["difference"].get(name)
            title = f"{label}, {order[part]['users']:,} people: {name}"
            rows.append([title, interval_cell(ndcg), interval_cell(difference) if difference else ""])
    chosen = order["chosen"]
    return (
        f"{markdown_table(['part and model', f'''nDCG@{recorded['k']}''', 'served model minus this'], rows)}\n\n"
        f"Chosen on the validation part: films up to {chosen['window']} places apart are counted, the last "
        f"{chosen['last']} of a history vote, and in the sum the rules count {percent(chosen['share'])}."
    )


def spread_table(spread: list[dict[str, Any]]) -> str:
    """Return bias and variance at each penalty, for popular films and rare ones, and how far lists agree."""
    groups = {bias_variance.POPULAR: "popular", bias_variance.RARE: "rare"}
    rows = [
        [
            f"{each['penalty']:,g}",
            *(f"{each[part][group]:.3f}" for group in groups for part in ("bias", "variance")),
            percent(each["overlap"]),
            percent(each["popular"]),
        ]
        for each in spread
    ]
    parts = [f"{part}, {name}" for name in groups.values() for part in ("squared bias and noise", "variance")]
    return markdown_table(["penalty", *parts, "list in common", "popular films in it"], rows)


def tastes_table(tastes: Recorded, k: int) -> str:
    """Return the groups of films, and how good the lists are for people by the group that they mostly watch."""
    people = {each["name"]: each for each in tastes["people"]}
    rows = []
    for each in tastes["groups"]:
        own = people.get(each["name"])
        cells = [str(own["users"]), interval_cell(own["ndcg"]), percent(own["hit_rate"])] if own else ["0", "", ""]
        rows.append([each["name"], str(each["films"]), percent(each["ratings"]), *cells])
    headings = ["group of films", "films", "of their ratings", "people who mostly watch it", f"nDCG@{k}", "hit rate"]
    return markdown_table(headings, rows)


def stability_table(tastes: Recorded) -> str:
    """Return how surely each number of groups comes back if the people were others."""
    plain = tastes["without_features"]
    rows = [[number, f"{value:.2f}", f"{plain[number]:.2f}"] for number, value in tastes["stability"].items()]
    return markdown_table(["groups", "served model", "without genres and years"], rows)


def sample_tables(recorded: Recorded) -> str:
    """Return the section on the sample: the models, what fading is worth, a test after a pause, the chances."""
    k, fading = recorded["k"], recorded["fading"]
    rows = [
        [name, interval_cell(metrics["ndcg"]), *(f"{metrics[name]['estimate']:.3f}" for name in ("recall", "hit_rate"))]
        for name, metrics in ranked(recorded["test"])
    ]
    title = f"{recorded['data']['name']}: {recorded['users']:,} people"
    models = markdown_table([title, *(f"{metric}@{k}" for metric in ("nDCG", "recall", "hit rate"))], rows)
    names = {
        "fading": "recent films count more, as served",
        "even": "all films of a history alike",
        "difference": "difference",
    }
    compared = [[name, interval_cell(fading[key])] for key, name in names.items()]
    fading_table = markdown_table([recorded["chosen"], f"nDCG@{k}"], compared)
    return "\n\n".join([models, fading_table, pause_table(recorded), reliability_table(recorded)])


def miss_table(recorded: Recorded) -> str:
    """Return the most confident miss of the sample: the list, why each film stood in it, and what came instead."""
    miss, least = recorded["miss"], recorded["settings"]["ease"]["min_raters"]
    listed = [
        [title, percent(chance), f"because of {reason}"]
        for title, chance, reason in miss["recommended"][: len(miss["watched"])]
    ]
    watched = [
        f"{title} ({f'place {place:,}' if place else f'never recommended: fewer than {least} people had rated it'})"
        for title, _, place in miss["watched"]
    ]
    return "\n\n".join(
        [
            f"*Seen before:* {miss['films']} films, the last of them {', '.join(miss['history'])}.",
            markdown_table([f"first {len(listed)} of {recorded['k']} recommended", "chance", "reason"], listed),
            f"*What came next:* {', '.join(watched)}.",
        ]
    )


def sample_sections(recorded: Recorded) -> dict[str, str]:
    """Return the sections that state what was measured on the sample."""
    return {"sample": sample_tables(recorded), "order-sample": order_table(recorded), "miss": miss_table(recorded)}


def ranked(tested: Mapping[str, Recorded]) -> list[tuple[str, Recorded]]:
    """Return the served model, then its baselines from best to worst."""
    served, *others = tested.items()
    return [served, *sorted(others, key=lambda item: -item[1]["ndcg"]["estimate"])]


def reliability_table(recorded: Recorded) -> str:
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


def summary_table(recorded: Recorded) -> str:
    """Return the root README's table of this project: the model beside its baselines."""
    rows = [[name, interval_cell(metrics["ndcg"])] for name, metrics in ranked(recorded["test"])]
    title = f"films, {recorded['users']['users evaluated']} users of {recorded['data']['name']}"
    return markdown_table([title, f"nDCG@{recorded['k']} (95 % interval)"], rows)
