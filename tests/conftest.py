"""The compose files as one, read without a container engine, and each project with a small model of its own.

Helpers come as fixtures, as in the root's conftest.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from environments import python_of
from manifest_pods import OVERLAYS, Manifests
from required import missing
from small_models import SmallModel

from manifests import FOLDER, NoKubectlError, render
from project_table import Project, projects

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


@pytest.fixture(scope="session")
def manifests(request: pytest.FixtureRequest) -> Manifests:
    """Every overlay of deploy/kubernetes, rendered."""
    python_of("platform")
    try:
        return Manifests({overlay: render(FOLDER / "overlays" / overlay) for overlay in OVERLAYS})
    except NoKubectlError as error:
        missing(request, "kubectl", str(error))


@pytest.fixture(scope="session", params=projects(), ids=lambda project: project.name)
def project(request: pytest.FixtureRequest) -> Project:
    """Each project in turn."""
    return request.param


@pytest.fixture(scope="session")
def small(project: Project, small_model: Callable[[str], SmallModel]) -> SmallModel:
    """What the project learned from its sample."""
    return small_model(project.name)


@pytest.fixture(scope="session")
def project_bundle(small: SmallModel) -> Path:
    """Folder of the project's small model; tests that change files copy it first."""
    return small.bundle
