"""One small training a project on its sample, made once a process: for every test that needs a model.

What only the project knows (how its training takes seconds, what makes its model poor, a request that asks for
everything) is in its own `tests/small_model.py`, so that nothing here names a project.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from portfolio_shared.tracking.client import quiet_mlflow
from portfolio_shared.training import write
from project_table import Project, projects

QUIET = Console(quiet=True)


class Notes:
    """A log of a training that keeps what it is given."""

    def __init__(self) -> None:
        self.metrics: list[str] = []
        self.children: dict[str, Mapping[str, Any]] = {}

    def log_metrics(self, metrics: Mapping[str, Any], *, step: int = 0) -> None:
        self.metrics += [f"{name} {step}" for name in metrics]

    def child(self, name: str, params: Mapping[str, object], metrics: Mapping[str, Any]) -> None:
        assert params == {"candidate": name}
        self.children[name] = metrics


@dataclass(frozen=True)
class SmallModel:
    """What a project learned from its sample: its settings, all that followed, the bundle, and what the tests know."""

    project: Project
    config: Any
    trained: Any
    notes: Notes
    own: ModuleType

    @property
    def bundle(self) -> Path:
        """Folder of the written bundle; tests that change files copy it first."""
        return Path(self.config.output)

    @cached_property
    def poor(self) -> Any:
        """The same training, had it led to a model that has learned next to nothing."""
        predictor = self.own.poor(self.trained)
        evaluation = self.module("evaluation.evaluate").evaluate(predictor, self.trained.split)
        return replace(self.trained, predictor=predictor, evaluation=evaluation)

    @cached_property
    def request(self) -> Any:
        """A request for everything that the service can answer."""
        return self.own.full_request(self.trained)

    @cached_property
    def adapter(self) -> ModuleType:
        """The file that MLflow runs, imported."""
        with quiet_mlflow():
            return run_file(self.module("train").PROJECT.package / "serving" / "mlflow_adapter.py", "mlflow_adapter")

    def module(self, name: str) -> ModuleType:
        """Import a module of the project."""
        return importlib.import_module(f"{self.project.package}.{name}")


def small_models(folder: Path) -> Callable[[str], SmallModel]:
    """Return a function: project's name -> its small model; each is trained once, in a part of the folder."""
    table = {project.name: project for project in projects()}

    @cache
    def small_model(name: str) -> SmallModel:
        project, place = table[name], folder / name
        own = run_file(project.folder / "tests" / "small_model.py", f"small_model_of_{project.package}")
        settings = importlib.import_module(f"{project.package}.config").TrainConfig
        config = settings(tracking_uri="", output=place / "bundle", **own.training(place))
        train = importlib.import_module(f"{project.package}.train")
        notes = Notes()
        trained = train.learn(config, QUIET, notes)
        write(train.PROJECT, config, trained, QUIET)
        return SmallModel(project, config, trained, notes, own)

    return small_model


def run_file(path: Path, name: str) -> ModuleType:
    """Import a file that is part of no package."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
