"""The compose files as one, read without a container engine, and each project with a small model of its own.

Helpers come as fixtures, as in the root's conftest.py.
"""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from project_table import Project, projects

# What makes the training on the sample a matter of seconds; a project that is not named needs nothing.
QUICK: dict[str, dict[str, Any]] = {
    "housing": {"folds": 2},
    "image-classifier": {"backbone": "small_cnn", "weights": "none", "epochs": 2},
}
SMALL: dict[str, dict[str, Any]] = {"image-classifier": {"per_class": 40, "size": 64}}  # samples that would take long

ROOT = Path(__file__).resolve().parents[1]


def read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def merge(base: Any, more: Any, key: str = "") -> Any:
    """Merge as compose does: mappings by key, lists one after the other, anything else (and commands) replaced."""
    if isinstance(base, dict) and isinstance(more, dict):
        return base | {name: merge(base.get(name), value, name) for name, value in more.items()}
    if isinstance(base, list) and isinstance(more, list) and key != "command":
        return base + more
    return more


def extended(service: dict[str, Any], own_file: Path, root: Path) -> dict[str, Any]:
    """Return a service with what it extends."""
    reference = service.get("extends")
    if reference is None:
        return service
    named = {"service": reference} if isinstance(reference, str) else reference
    file = root / named["file"] if "file" in named else own_file
    base = extended(read(file)["services"][named["service"]], file, root)
    return dict(merge(base, {key: value for key, value in service.items() if key != "extends"}))


def included(root: Path) -> list[Path]:
    return [root / path for include in read(root / "compose.yaml")["include"] for path in include["path"]]


@pytest.fixture(scope="session")
def compose_files() -> list[Path]:
    """All compose files that belong to the stack."""
    return [ROOT / "compose.yaml", ROOT / "docker/service.yaml", *included(ROOT)]


@pytest.fixture(scope="session")
def services() -> dict[str, dict[str, Any]]:
    """Every service of the stack by name, merged and with what it extends, variables as they stand in the files."""
    stack: dict[str, dict[str, Any]] = {}
    for path in included(ROOT):
        for name, service in read(path)["services"].items():
            stack[name] = merge(stack.get(name, {}), extended(service, path, ROOT))
    return stack


@pytest.fixture(scope="session", params=projects(), ids=lambda project: project.name)
def project(request: pytest.FixtureRequest) -> Project:
    """Each project in turn."""
    return request.param


@pytest.fixture(scope="session")
def project_bundle(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model that the project trained once on its sample; tests that change files copy it first."""
    place = tmp_path_factory.mktemp(project.name)
    package = importlib.import_module(f"{project.package}.train")
    config = importlib.import_module(f"{project.package}.config")
    options = {"threads": 1, **QUICK.get(project.name, {})}
    data = "sample"
    if project.name in SMALL:
        sample = importlib.import_module(f"{project.package}.data.sample")
        data = str(sample.write_sample(place / "sample", **SMALL[project.name]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)  # where a training keeps its work
        settings = config.TrainConfig(data=data, tracking_uri="", output=place / "bundle", **options)
        return Path(package.train(settings, Console(quiet=True)))
