"""Our services beside others on the same machine in the same run: answers a second, latency, CPU, start and memory.

All contenders run at once, each stopped while another one is asked; they take turns, so whatever else the machine does
falls on all of them. Ratios are what to trust. Linux only. A whole run writes its sections of the READMEs.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# Before NumPy is imported: this process measures single calls.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

# isort: split
from contenders import MLFLOW, contenders
from generator import find_generator
from inputs import INPUTS, inputs_of
from inside import Inside
from measure import measure
from record import RESULTS
from report import load_table, machine, section, target_table
from rich.console import Console
from targets import outcomes

from portfolio_shared.evaluation.documents import documents_of, fill_documents
from portfolio_shared.evaluation.sections import fill_sections, serving_table
from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.tracking.pyfunc_model import example_frame, save_pyfunc
from processes import ProcessError

README = Path(__file__).parents[1] / "README.md"
PROJECTS = Path(__file__).parents[2] / "projects"


def main() -> int:
    """Measure the projects, print, write; return 1 if a target is missed."""
    options = parse_options()
    console, missed = Console(), False
    console.width = max(console.width, 160)  # of a file or a pipe as well
    for project in options.project or INPUTS:
        rows = measure_project(project, options, console)
        console.print(terminal_table(f"{project}: {INPUTS[project]}", *load_table(rows, options.clients)))
        if options.only:
            continue
        targets = outcomes(project, rows)
        missed |= not all(target["met"] for target in targets)
        console.print(terminal_table("Targets", *target_table(targets)))
        recorded = machine() | {"rounds": options.rounds, "seconds": options.seconds, "targets": targets, "rows": rows}
        write(project, recorded, options, console)
    return int(missed)


def write(project: str, recorded: Mapping[str, Any], options: argparse.Namespace, console: Console) -> None:
    """Write what was measured, and the sections that show it."""
    path = options.output / f"{project}_serving.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    if options.output == RESULTS:
        fill_sections(README, {project: section(project, recorded, options.clients)})
        fill_documents(documents_of(PROJECTS / project), {"serving": serving_table(recorded)})
    console.print(f"Written: {path}")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-serving", description=__doc__)
    parser.add_argument("--project", action="append", choices=INPUTS, help="only this one (may be repeated)")
    parser.add_argument("--only", action="append", help="only this contender, without targets (may be repeated)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=2, help="of a turn (default: %(default)s)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64], help="1 and 16 are needed for targets")
    parser.add_argument("--output", type=Path, default=RESULTS, help="another folder, and no README")
    return parser.parse_args()


def measure_project(project: str, options: argparse.Namespace, console: Console) -> dict[str, dict[str, Any]]:
    """Start a project's contenders, let them take turns, and return what each row came to."""
    bundle = Path(".state/bundles") / project
    if not bundle.is_dir():
        sys.exit(f"{bundle} does not exist: `make train-{project}` makes it")
    inputs = inputs_of(project, bundle)
    inside = Inside(bundle) if project == "image-classifier" and not options.only else None
    with TemporaryDirectory() as folder, console.status(project) as status:
        model = Path(folder) / "model"
        chosen = [
            each for each in contenders(project, bundle, inputs, model) if not options.only or each.name in options.only
        ]
        if any(each.name == MLFLOW for each in chosen):
            save_model(project, bundle, model, inputs.table)

        def between(what: str) -> None:
            status.update(f"{project}: {what}")
            if inside is not None:
                inside.take_turns()

        turns = {"rounds": options.rounds, "seconds": options.seconds}
        rows = measure(project, chosen, find_generator(), options.clients, between=between, **turns)
    return rows | ({} if inside is None else {name: {"ms": ms} for name, ms in inside.medians().items()})


def save_model(project: str, bundle: Path, folder: Path, table: Sequence[Mapping[str, object]]) -> None:
    """Write the model as a training logs it."""
    package = PROJECTS / project / "src" / project.replace("-", "_")
    save_pyfunc(folder, bundle, package / "serving" / "mlflow_adapter.py", example_frame(table))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ProcessError as error:
        sys.exit(str(error))
