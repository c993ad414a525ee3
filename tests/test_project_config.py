"""What every project's settings promise: names, bounds, environment variables, help. The rest is in the projects."""

import importlib
import inspect
import os
from collections.abc import Iterator
from types import ModuleType

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings

from project_table import Project


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    """No setting comes from the shell that runs the tests."""
    for name in list(os.environ):
        if name.startswith((project.prefix, "MLFLOW_")):
            monkeypatch.delenv(name)


@pytest.fixture
def config(project: Project) -> ModuleType:
    return importlib.import_module(f"{project.package}.config")


def declared(config: ModuleType, kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield the classes of some kind that the module declares itself."""
    for _, member in inspect.getmembers(config, inspect.isclass):
        if issubclass(member, kind) and member.__module__ == config.__name__:
            yield member


def test_a_misspelt_setting_is_an_error(config: ModuleType) -> None:
    classes = list(declared(config, BaseModel))
    assert len(classes) >= 5
    for settings in classes:
        with pytest.raises(ValidationError) as error:
            settings(penlaty=1.0)
        assert ("penlaty",) in [item["loc"] for item in error.value.errors()]


def test_settings_do_not_change(config: ModuleType) -> None:
    for settings in declared(config, BaseModel):
        name = next(iter(settings.model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(settings.model_construct(), name, None)


def test_every_setting_of_a_command_has_a_help_text(project: Project, config: ModuleType) -> None:
    commands = importlib.import_module(f"{project.package}.cli").COMMANDS.values()
    classes = {*declared(config, BaseSettings), *(command.settings for command in commands)}
    assert len(classes) >= len(commands)
    for settings in classes:
        assert [name for name, field in settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("{}TRAIN_SEED", "7", "seed", 7),
        ("{}TRAIN_IF_MISSING", "true", "if_missing", True),
        ("{}TRAIN_DATA", "sample", "data", "sample"),
        ("MLFLOW_TRACKING_URI", "http://mlflow:5000", "tracking_uri", "http://mlflow:5000"),
        ("{}TRAIN_TRACKING_URI", "", "tracking_uri", ""),
    ],
)
def test_the_environment_sets_a_training(
    monkeypatch: pytest.MonkeyPatch,
    project: Project,
    config: ModuleType,
    variable: str,
    value: str,
    *,
    field: str,
    expected: object,
) -> None:
    monkeypatch.setenv(variable.format(project.prefix), value)
    assert getattr(config.TrainConfig(), field) == expected


def test_the_projects_own_variable_wins_over_mlflows(
    monkeypatch: pytest.MonkeyPatch, project: Project, config: ModuleType
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other:5000")
    monkeypatch.setenv(f"{project.prefix}TRAIN_TRACKING_URI", "http://own:5000")
    assert config.TrainConfig().tracking_uri == "http://own:5000"


def test_the_service_is_set_by_its_own_prefix(
    monkeypatch: pytest.MonkeyPatch, project: Project, config: ModuleType
) -> None:
    monkeypatch.setenv(f"{project.prefix}PORT", "9001")
    monkeypatch.setenv(f"{project.prefix}TRAIN_SEED", "3")  # of the training: none of its business
    settings = config.ServeSettings()
    assert (settings.port, settings.model_name) == (9001, project.name)


def test_what_kubernetes_invents_for_a_service_of_this_name_is_no_setting(
    monkeypatch: pytest.MonkeyPatch, project: Project, config: ModuleType
) -> None:
    place = f"{project.prefix}PORT_{project.port}_TCP"
    monkeypatch.setenv(f"{project.prefix}PORT", f"tcp://10.0.0.1:{project.port}")
    monkeypatch.setenv(f"{project.prefix}SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv(f"{project.prefix}SERVICE_PORT_HTTP", "80")
    monkeypatch.setenv(place, f"tcp://10.0.0.1:{project.port}")
    monkeypatch.setenv(f"{place}_ADDR", "10.0.0.1")
    assert config.ServeSettings().port == project.port


def test_a_misspelt_variable_of_the_service_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, project: Project, config: ModuleType
) -> None:
    monkeypatch.setenv(f"{project.prefix}PROT", "9001")
    with pytest.raises(Exception, match=rf"{project.prefix}PROT is not a setting; .* is {project.prefix}PORT"):
        config.ServeSettings()


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [("TrainConfig", "seed", -1), ("TuneConfig", "seed", -1), ("ServeSettings", "port", 65536)],
)
def test_a_value_out_of_bounds_is_refused_by_name(config: ModuleType, settings: str, name: str, value: int) -> None:
    with pytest.raises(ValidationError) as error:
        getattr(config, settings)(**{name: value})
    assert [item["loc"] for item in error.value.errors()] == [(name,)]
