"""Which projects there are: one table, `[tool.portfolio]`, in each project's pyproject.toml. Prints their names.

Only the standard library: the Makefile, the workflows and the build of the index page run it before anything is
installed.
"""

import argparse
import json
import sys
import tomllib
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OPTIONAL: dict[str, Any] = {"first-train-flags": [], "trainer-mb": None}
TYPES: dict[str, type] = {
    "title": str,
    "lead": str,
    "port": int,
    "first-train-flags": list,
    "service-mb": int,
    "trainer-mb": int,
}


class ProjectError(ValueError):
    """A project's table cannot be used; the message names the file and the key."""


@dataclass(frozen=True)
class Project:
    """One project, as its table describes it.

    Attributes
    ----------
    name
        That of its folder, its command and its registered model, such as image-classifier.
    title, lead
        What its page is called, and one sentence about it.
    port
        Where its service listens on this machine unless a setting says otherwise.
    first_train_flags
        What `train` is given where it must be quick: the first training of `make up`.
    service_mb, trainer_mb
        Megabytes that its images may have over the base image; None for no limit.
    """

    name: str
    title: str
    lead: str
    port: int
    first_train_flags: tuple[str, ...]
    service_mb: int
    trainer_mb: int | None
    folder: Path

    @property
    def package(self) -> str:
        """Return the name that Python imports, such as image_classifier."""
        return self.name.replace("-", "_")

    @property
    def prefix(self) -> str:
        """Return what its settings start with, such as IMAGE_CLASSIFIER_."""
        return f"{self.package.upper()}_"


def projects(root: Path = ROOT) -> tuple[Project, ...]:
    """Read every project's table; in the order of their ports.

    Raises
    ------
    ProjectError
        Where a table is absent, a key is missing, unknown or of another type, or a port is used twice.
    """
    table = [_read(path) for path in root.glob("projects/*/pyproject.toml")]
    table.sort(key=lambda project: (project.port, project.name))
    for project, following in pairwise(table):
        if project.port == following.port:
            raise ProjectError(f"{project.name} and {following.name} both have the port {project.port}")
    return tuple(table)


def _read(path: Path) -> Project:
    table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("portfolio")
    if table is None:
        raise ProjectError(f"{path}: no table [tool.portfolio]")
    if unknown := sorted(table.keys() - TYPES.keys()):
        raise ProjectError(f"{path}: unknown key {unknown[0]} in [tool.portfolio]; there are {', '.join(TYPES)}")
    for key, kind in TYPES.items():
        if key not in table and key not in OPTIONAL:
            raise ProjectError(f"{path}: [tool.portfolio] has no {key}")
        if key in table and type(table[key]) is not kind:
            raise ProjectError(f"{path}: {key} = {table[key]!r} in [tool.portfolio]: expected {kind.__name__}")
    values = {key.replace("-", "_"): value for key, value in (OPTIONAL | table).items()}
    flags = tuple(values.pop("first_train_flags"))
    return Project(name=path.parent.name, folder=path.parent, first_train_flags=flags, **values)


def main() -> int:
    """Print the names, one a line, or all that the tables say as JSON; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print everything, as a list of objects")
    as_json = parser.parse_args().json
    try:
        table = projects()
    except ProjectError as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps([asdict(each) | {"folder": f"projects/{each.name}"} for each in table]))
    else:
        print(*(each.name for each in table), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
