"""The documents' sections that state what `recommender tune` and the benchmarks recorded, as tables."""

import json
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from portfolio_shared.evaluation.sections import (
    interval_cell,
    markdown_table,
    measured_sections,
    rates_table,
    serving_table,
)
from portfolio_shared.evaluation.tables import Column, candidate_rows
from recommender.config import TUNED
from recommender.evaluation.scale import growth_table, quality_table, scale_table

PRIVACY = (
    Column("n_read", "histories to read", "d"),
    Column("read_completely", "read completely", ".1%"),
    Column("read_nearly", "to over 90 %", ".1%"),
    Column("share_read", "share read, mean", ".2f"),
    Column("precision_members", "other half, learned from", ".2f"),
    Column("precision_non_members", "other half, not", ".2f"),
)
MEMORY = Column("peak_rss_mb", "peak memory, MB", ",.0f")
REST = (Column("seconds", "seconds", ",.1f"), Column("cpu_seconds", "CPU seconds", ",.1f"), MEMORY)
LARGE = (
    Column("fit_seconds", "fit, s", ",.1f"),
    Column("fit_cpu_seconds", "CPU seconds", ",.1f"),
    MEMORY,
    Column("before_fit_mb", "before the fit, MB", ",.0f"),
)
SCALE = {"scale": scale_table, "growth": growth_table, "scale-quality": quality_table}
SPLIT_LABELS = {"time": "each user's last 20 % by time", "date": "one date for everyone", "random": "random 25 %"}


def studies() -> dict[str, Any]:
    """Return what `recommender tune` recorded for each split."""
    stored = json.loads(files("recommender").joinpath(TUNED).read_text(encoding="utf-8"))
    return {split: part["study"] for split, part in stored.items()}


def search_table(studied: Mapping[str, Any]) -> str:
    """Return what the search for settings came to, and what of it is not used."""
    rows = [
        [
            f"{SPLIT_LABELS[split]}: {name}",
            str(fits),
            f"{study['first'][name]:.4f}",
            f"{study['best'][name]:.4f}",
            ", ".join(f"{setting} {value:g}" for setting, value in study["changed"][name].items()) or "none",
            "no" if name in study["borrowed"] else "yes",
        ]
        for split, study in studied.items()
        for name, fits in study["fits"].items()
    ]
    scores = ["nDCG@10, settings in use", "nDCG@10, best trial"]
    return markdown_table(["validation of", "trials", *scores, "better by more than chance", "taken"], rows)


def benchmarked(results: Path) -> dict[str, str]:
    """Return the sections that state what `make bench-recommender` measured last; a file that is missing is named."""
    return measured_sections(
        {
            "splits": (results / "recommender.json", splits_table),
            "grid": (results / "recommender_grid.json", grid_table),
            "privacy": (results / "recommender_privacy.json", privacy_table),
            "large": (results / "recommender_large.json", large_table),
            **{name: (results / "recommender_scale.json", table) for name, table in SCALE.items()},
            "serving": (results / "recommender_serving.json", serving_table),
            "batch": (results / "recommender_batch.json", rates_table),
        }
    )


def splits_table(bench: Mapping[str, Any]) -> str:
    """Return the served model beside the baselines on the three splits."""
    parts = []
    for split, label in SPLIT_LABELS.items():
        rows = [row for row in bench["rows"] if row["split"] == split]
        if not rows:
            continue
        cells = [
            [
                str(row["name"]),
                *(interval_cell(row[metric]) for metric in ("ndcg", "recall", "hit_rate")),
                f"{row['fit_seconds']:.2f}",
                f"{row['fit_megabytes']:,.0f}",
                interval_cell(row["difference"]) if "difference" in row else "",
                str(row["settings"]),
            ]
            for row in rows
        ]
        headings = [
            f"{label}, {rows[0]['users']} users",
            *(f"{metric}@{bench['k']}" for metric in ("nDCG", "recall", "hit rate")),
            "fit, s",
            "fit, MB",
            "difference: served model minus this",
            "settings",
        ]
        parts.append(markdown_table(headings, cells))
    return "\n\n".join(parts)


def grid_table(grid: Mapping[str, Any]) -> str:
    """Return what rank and penalty were chosen for each data set, and what that is worth on its test."""
    rows = [
        [
            f"{row['data']}, {SPLIT_LABELS.get(row['split'], row['split'])}, {row['users']:,} users",
            " and ".join(f"{row['grid']['chosen'][name]:g}" for name in ("rank", "penalty")),
            *(interval_cell(row[name]) for name in ("in_use", "chosen", "difference")),
        ]
        for row in grid["rows"]
    ]
    scores = [f"nDCG@{grid['k']}, settings in use", "as chosen", "difference, paired"]
    return markdown_table(["data and test", "rank and penalty chosen", *scores], rows)


def privacy_table(attacked: Mapping[str, Any]) -> str:
    """Return what the two attacks find in each model, and how many people rated a film alone: MovieLens, the sample."""
    parts = []
    for data in (attacked, attacked["sample"]):
        title = f"{data['dataset']}: {data['members']:,} people learned from, {data['non_members']:,} not"
        served = {row["name"] for row in data["rows"] if row["served"]}
        share = f"{data['rated_a_film_alone']:.0%}"
        parts.append(named_table(title, data["rows"], PRIVACY, bold=served))
        parts.append(f"{share} of the people learned from rated a film that none of the others did.")
    return "\n\n".join(parts)


def large_table(large: Mapping[str, Any]) -> str:
    """Return what each model costs on generated data of the stated size, and the times of the rest."""
    sizes = f"{large['ratings']:,} ratings, {large['users']:,} people, {large['films']:,} films"
    columns = (*LARGE, Column("ndcg", f"nDCG@{large['k']} on validation", ".3f"))
    words = [*(f"Not fitted: {excluded}." for excluded in large["excluded"]), f"Chosen: {large['why']}."]
    models = named_table(sizes, large["models"], columns, bold={large["chosen"]})
    return "\n\n".join([models, *words, named_table("the rest", large["others"], REST)])


def named_table(
    title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, bold: Collection[str] = ()
) -> str:
    """Return a table of records with a `name`; the first heading is the title."""
    named = {f"**{row['name']}**" if row["name"] in bold else row["name"]: row for row in rows}
    (_, *headings), cells = candidate_rows(named, columns)
    return markdown_table([title, *headings], cells)
