"""Write the README's tables and figures from one training: nothing in them is typed by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from new_project.config import CONSTANTS, MODEL_NAME, ReportConfig, TrainConfig
from new_project.data.explore import explore
from new_project.evaluation.ablation import ablate
from new_project.evaluation.candidates import COLUMNS
from new_project.evaluation.errors import by_group
from new_project.evaluation.evaluate import METRIC_LABELS, SUMMARY
from new_project.evaluation.figures import draw
from new_project.train import Trained, learn
from portfolio_shared.data.checks import stored_report
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.documents import Contents, refill, write_report
from portfolio_shared.evaluation.sections import interval_cell, markdown_table
from portfolio_shared.evaluation.tables import candidate_rows
from portfolio_shared.markdown import plain

Stored = Mapping[str, Any]
FEW = 10
"""Groups with fewer test rows are not shown."""


def report(config: ReportConfig, console: Console | None = None) -> None:
    """Train, take the model apart, and write `docs/` and the marked sections of the documents."""
    console = console or Console()
    if config.refill:
        console.print(refill(config, MODEL_NAME, contents))
        return
    trained, docs = (
        learn(TrainConfig(data=config.data, tracking_uri="", seed=config.seed), console),
        config.project / "docs",
    )
    docs.mkdir(exist_ok=True)
    explore(trained.data, docs)
    draw(trained.evaluation, trained.candidates, docs)
    recorded = record(trained, config.seed)
    console.print(write_report(config, MODEL_NAME, recorded, contents(recorded, config.benchmarks, docs)))


def record(trained: Trained, seed: int) -> dict[str, Any]:
    """Return everything the documents state, as JSON types."""
    data, split = trained.data, trained.split
    return {
        "data": {"source": data.source.kind, "sha256": data.sha256, "report": data.report.as_dict()},
        "rows": {"train": len(split.train), "test": len(split.test)},
        "test_split_sha256": split_digest(split.test.keys),
        "chosen": trained.chosen,
        "settings": trained.settings.model_dump(mode="json"),
        "candidates": {name: candidate.metrics for name, candidate in trained.candidates.items()},
        "test": {name: interval._asdict() for name, interval in trained.evaluation.metrics.items()},
        "baselines": {
            name: {metric: interval._asdict() for metric, interval in metrics.items()}
            for name, metrics in trained.baselines.items()
        },
        "groups": [asdict(group) for group in by_group(trained.evaluation)],
        "ablation": [asdict(step) for step in ablate(split, trained.settings, seed=seed)],
    }


def tables(recorded: Stored) -> dict[str, str]:
    """Return the marked sections from what was recorded."""
    return {
        "data": stored_report(recorded["data"]["report"]).as_markdown(),
        "candidates": markdown_table(*candidate_rows(recorded["candidates"], COLUMNS, chosen=recorded["chosen"])),
        "ablation": records_table(recorded["ablation"]),
        "test": test_table(recorded),
        "groups": groups_table(recorded["groups"]),
    }


def contents(recorded: Stored, results: Path, docs: Path) -> Contents:  # noqa: ARG001 -- others have benchmarks too
    """Return what the documents state of what was recorded."""
    return Contents(tables(recorded), numbers(recorded), summary_table(recorded))


def numbers(recorded: Stored) -> dict[str, str]:
    """Return the numbers that prose names: rows, constants of the code, and every metric of the test split."""
    measured = {"test": recorded["test"], **recorded["baselines"]}
    return {
        "rows": f"{sum(recorded['rows'].values()):,}",
        "train_rows": f"{recorded['rows']['train']:,}",
        "test_rows": f"{recorded['rows']['test']:,}",
        **CONSTANTS,
        **{
            f"{model.replace(' ', '_')}_{metric}": number(interval["estimate"])
            for model, metrics in measured.items()
            for metric, interval in metrics.items()
        },
    }


def number(value: float) -> str:
    """Return a number as prose has it.

    Examples
    --------
    >>> number(0.10519), number(48321.7)
    ('0.105', '48,322')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def test_table(recorded: Stored) -> str:
    """Return the test metrics with intervals, beside those of the baselines."""
    columns = {"served model": recorded["test"], **recorded["baselines"]}
    rows = [
        [label, *(interval_cell(column[metric]) if metric in column else "" for column in columns.values())]
        for metric, label in METRIC_LABELS.items()
    ]
    return markdown_table([f"{recorded['rows']['test']:,} test rows", *columns], rows)


def groups_table(groups: Sequence[Stored]) -> str:
    """Return the errors by group; groups with few test rows are not shown, and counted."""
    shown = [group for group in groups if group["rows"] >= FEW]
    named = [{"group": plain(f"{group['by']}: {group['name']}")} | _without(group, "by", "name") for group in shown]
    return f"{records_table(named)}\n\n{len(groups) - len(shown)} groups with fewer than {FEW} rows are not shown.\n"


def records_table(records: Sequence[Stored]) -> str:
    """Return records of one kind as a table, a column for each field."""
    headings = [name.replace("_", " ") for name in records[0]]
    cells = [[value if isinstance(value, str) else number(value) for value in row.values()] for row in records]
    return markdown_table(headings, cells)


def _without(record: Stored, *names: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


def summary_table(recorded: Stored) -> str:
    """Return the root README's table of this project: the model beside its baselines."""
    models = {"served model": recorded["test"], **recorded["baselines"]}
    rows = [[name, interval_cell(metrics[SUMMARY])] for name, metrics in models.items() if SUMMARY in metrics]
    return markdown_table(
        [f"New project, {recorded['rows']['test']:,} test rows", f"{METRIC_LABELS[SUMMARY]} (95 % interval)"], rows
    )
