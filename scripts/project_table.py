"""Which projects there are: one table, `[tool.portfolio]`, in each project's pyproject.toml. Prints all of it as JSON.

Only the standard library: the build of the start page runs it before anything is installed.
"""

import json
import sys
import tomllib
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIRED: dict[str, type] = {"title": str, "lead": str, "port": int, "service-mb": int}
TYPES = REQUIRED | {"first-train-flags": list, "etl": list, "trainer-mb": int}


class ProjectError(ValueError):
    """A project's table cannot be used; the message names the file and the key."""


@dataclass(frozen=True)
class Project:
    """One project, as its table describes it.

    Attributes
    ----------
    name
        That of its folder, its command and its registered model, such as image-classifier.
    lead
        One sentence about it.
    port
        Where its service listens on this machine unless a setting says otherwise.
    service_mb, trainer_mb
        Megabytes that its images may have over the base image; None for no limit.
    first_train_flags
        What `train` is given where it must be quick: the first training of `make up`.
    etl
        Words after its name that store clean tables, `{data}` and `{folder}` in place of both; none if nothing does.
    """

    name: str
    title: str
    lead: str
    port: int
    service_mb: int
    folder: Path
    first_train_flags: tuple[str, ...] = ()
    etl: tuple[str, ...] = ()
    trainer_mb: int | None = None

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
    if missing := [key for key in REQUIRED if key not in table]:
        raise ProjectError(f"{path}: [tool.portfolio] has no {missing[0]}")
    for key, value in table.items():
        if type(value) is not TYPES[key]:
            raise ProjectError(f"{path}: {key} = {value!r} in [tool.portfolio]: expected {TYPES[key].__name__}")
    values = {key.replace("-", "_"): value for key, value in table.items()}
    flags, etl = (tuple(values.pop(key, ())) for key in ("first_train_flags", "etl"))
    return Project(name=path.parent.name, folder=path.parent, first_train_flags=flags, etl=etl, **values)


if __name__ == "__main__":
    try:
        print(json.dumps([asdict(each) | {"folder": f"projects/{each.name}"} for each in projects()]))
    except ProjectError as error:
        sys.exit(str(error))
