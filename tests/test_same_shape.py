"""Three projects, one shape: the same modules, the same signatures, and imports that point down.

A reader of one project knows the other two as long as this holds. What a project alone needs may be a keyword-only
parameter with a default; `seed` and every parameter without a default are the same everywhere.
"""

import ast
import importlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from portfolio_shared.config import ReportSettings, TrainSettings
from portfolio_shared.operations.watch import Watch
from portfolio_shared.serving.schemas import ExampleRequest
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.training import Project as TrainingProject
from project_table import Project, projects

SIGNATURES = {
    "data.load.load": "setting",
    "data.load.split": "dataset",
    "data.load.is_sample": "setting",
    "data.cut_sample.cut_sample": "source, target",
    "data.explore.explore": "dataset, folder",
    "models.fit.fit": "split, settings, chosen, *, seed",
    "models.predictor.Predictor.predict": "self, inputs",
    "models.predictor.Predictor.save": "self, folder",
    "models.predictor.Predictor.load": "folder",
    "evaluation.candidates.compare": "split, settings, *, seed",
    "evaluation.candidates.choose": "candidates",
    "evaluation.candidates.evaluate_baselines": "split, settings, candidates, *, seed",
    "evaluation.evaluate.evaluate": "predictor, split, *, seed",
    "evaluation.evaluate.compare_with_champion": "evaluation, champion",
    "evaluation.evaluate.evaluate_bundle": "bundle, setting, console",
    "evaluation.errors.by_group": "evaluation",
    "evaluation.ablation.ablate": "split, settings, *, seed",
    "evaluation.figures.draw": "evaluation, candidates, folder",
    "serving.app.create_app": "settings",
    "serving.app.smoke_test": "predictor",
    "serving.batch.predict_file": "source, target, predictor",
    "train.learn": "config, console",
    "train.describe": "config, trained",
    "train.train": "config",
    "tune.tune": "config",
    "report.report": "config",
    "report.contents": "recorded, results, docs",
    "report.numbers": "recorded",
    "report.tables": "recorded",
    "cli.main": "",
}
FIELDS = {
    "data.load.Dataset": ["source", "name", "sha256", "report"],
    "data.load.Split": ["train", "validation", "test"],
    "models.predictor.Prediction": [],
    "evaluation.errors.Group": ["by", "name"],
    "evaluation.ablation.Step": ["name"],
}
COMMANDS = [
    "data",
    "train",
    "tune",
    "evaluate",
    "predict",
    "serve",
    "monitor",
    "retrain",
    "compare",
    "promote",
    "forget",
    "key",
    "rollback",
    "report",
]
OWN_COMMANDS = {"etl", "generate"}
"""Of the recommender alone, whose data may be more than memory holds."""
LAYERS = {
    "config": set(),
    "data": {"config"},
    "models": {"config", "data"},
    "evaluation": {"config", "data", "models"},
    "serving": {"config", "data", "models", "serving.observe"},
    "serving.observe": {"config", "data", "models", "serving"},
    "train": {"config", "data", "models", "evaluation", "serving.observe"},
    "tune": {"config", "data", "models", "evaluation", "train"},
    "report": {"config", "data", "models", "evaluation", "train", "tune"},
}
"""Folder or module at the top -> what of its own project it may import; `cli` may import everything.

What is watched of predictions is asked of the training, for the reference, as well as of the service.
"""

every_project = pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)


def attribute(project: Project, path: str) -> object:
    """Return `package.module.name` or `package.module.Class.name`."""
    parts = path.split(".")
    depth = next((i for i, part in enumerate(parts) if part[0].isupper()), len(parts) - 1)
    value: object = importlib.import_module(".".join([project.package, *parts[:depth]]))
    for part in parts[depth:]:
        value = getattr(value, part)
    return value


def shape_of(function: object) -> str:
    """Return the parameters that all projects share, in the form of SIGNATURES."""
    shared, keyword = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is not parameter.empty and parameter.name != "seed":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword:
            shared, keyword = [*shared, "*"], True
        shared.append(parameter.name)
    return ", ".join(shared)


def imports_of(project: Project) -> Iterator[tuple[str, str, Path]]:
    """Yield (layer, imported layer, file) for every import inside a project, lazy ones and those for types too."""
    source = project.folder / "src" / project.package
    for path in sorted(source.rglob("*.py")):
        layer = layer_of(path.relative_to(source).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module == project.package:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute"
                names = [node.module or ""]
            for name in names:
                package, _, rest = name.partition(".")
                if package == project.package and rest:
                    yield layer, layer_of(rest.split(".")), path


def layer_of(parts: Sequence[str]) -> str:
    """Return the layer of a module, given the parts of its name below the package."""
    return "serving.observe" if list(parts[:2]) == ["serving", "observe"] else parts[0]


@every_project
@pytest.mark.parametrize(("path", "expected"), SIGNATURES.items(), ids=SIGNATURES)
def test_a_function_has_the_same_parameters_in_every_project(project: Project, path: str, expected: str) -> None:
    assert shape_of(attribute(project, path)) == expected


@every_project
def test_the_commands_take_the_same_optional_parameters_as_well(project: Project) -> None:
    expected = {"train": ["config", "console"], "tune": ["config", "console"], "report": ["config", "console"]}
    for module, names in expected.items():
        assert list(inspect.signature(attribute(project, f"{module}.{module}")).parameters) == names
    learn = inspect.signature(attribute(project, "train.learn"))
    assert list(learn.parameters) == ["config", "console", "run", "lessons"]
    compared = inspect.signature(attribute(project, "evaluation.candidates.compare")).parameters
    assert "log" in compared  # called with each candidate as soon as it is measured


@every_project
def test_an_evaluation_has_the_metrics_that_the_spine_logs(project: Project) -> None:
    evaluation = attribute(project, "evaluation.evaluate.Evaluation")
    assert "metrics" in {field.name for field in fields(evaluation)}


@every_project
@pytest.mark.parametrize(("path", "first"), FIELDS.items(), ids=FIELDS)
def test_a_record_begins_with_the_same_fields(project: Project, path: str, first: list[str]) -> None:
    record = attribute(project, path)
    assert isinstance(record, type)
    assert is_dataclass(record)
    assert [field.name for field in fields(record)][: len(first)] == first


@every_project
def test_the_settings_the_commands_and_the_spine_are_the_shared_ones(project: Project) -> None:
    for name, base in (("TrainConfig", TrainSettings), ("ReportConfig", ReportSettings)):
        assert issubclass(attribute(project, f"config.{name}"), base)
    service = attribute(project, "config.ServeSettings")
    assert issubclass(service, ServiceSettings)
    assert service.model_fields["port"].default == project.port
    assert attribute(project, "config.MODEL_NAME") == project.name
    own = OWN_COMMANDS if project.name == "recommender" else set()
    assert [name for name in attribute(project, "cli.COMMANDS") if name not in own] == COMMANDS
    spine = attribute(project, "train.PROJECT")
    assert isinstance(spine, TrainingProject)
    assert spine.name == project.name
    assert isinstance(attribute(project, "serving.schemas.EXAMPLE_REQUEST"), ExampleRequest)
    watch = attribute(project, "serving.observe.WATCH")
    assert isinstance(watch, Watch)
    assert watch.model == project.name
    assert watch.truth is attribute(project, "serving.observe.Truth")


@every_project
def test_imports_point_down(project: Project) -> None:
    seen = list(imports_of(project))
    wrong = [
        f"{path.relative_to(project.folder)}: {layer} imports {imported}"
        for layer, imported, path in seen
        if layer not in ("cli", imported) and imported not in LAYERS.get(layer, set())
    ]
    assert wrong == []
    assert {layer for layer, _, _ in seen} >= {"cli", "data", "evaluation", "models", "serving", "train"}


@every_project
def test_no_project_imports_another(project: Project) -> None:
    others = {other.package for other in projects()} - {project.package}
    for path in (project.folder / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {module.split(".")[0] for module in modules} & others, path


@every_project
def test_the_tests_mirror_the_modules(project: Project) -> None:
    source, tests = project.folder / "src" / project.package, project.folder / "tests"
    folders = {path.name for path in source.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {"data", "models", "evaluation", "serving"}
    assert {path.name for path in tests.iterdir() if path.is_dir() and path.name != "__pycache__"} <= folders
    assert not [path for path in source.glob("*/__init__.py") if path.read_text(encoding="utf-8")]
    top = {path.stem for path in source.glob("*.py")}
    assert top == {"__init__", "cli", "config", "train", "tune", "report"}
