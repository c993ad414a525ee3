import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from portfolio_shared.serving.settings import ServiceSettings, SettingsError, read_settings


class CabinSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CABIN_")
    port: int = 8009
    model_name: str = "cabin"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("CABIN_"):
            monkeypatch.delenv(name)


def test_defaults_work_on_a_laptop() -> None:
    settings = CabinSettings()
    assert settings.host == "127.0.0.1"
    assert settings.port == 8009
    assert settings.bundle is None
    assert settings.model_alias == "champion"


def test_environment_wins_over_defaults_and_flags_win_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CABIN_PORT", "9000")
    monkeypatch.setenv("CABIN_BUNDLE", "some/folder")
    assert read_settings(CabinSettings).port == 9000
    assert read_settings(CabinSettings).bundle == Path("some/folder")
    assert read_settings(CabinSettings, port=9001, host=None).port == 9001


def test_settings_cannot_be_changed_later() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        CabinSettings().port = 1  # type: ignore[misc]  # mypy sees it too


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("CABIN_MAX_BODY_BYTE", "CABIN_MAX_BODY_BYTES"),
        ("CABIN_WORKERS", "CABIN_WORKER_THREADS"),
        ("cabin_prot", "CABIN_PORT"),
    ],
)
def test_misspelt_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"^{name.upper()} is not a setting; the nearest one is {nearest}\\."):
        CabinSettings()


def test_variables_of_training_and_of_other_programs_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CABIN_TRAIN_SEED", "3")
    monkeypatch.setenv("CABINET_PORT", "3")
    monkeypatch.setenv("PORT", "3")
    assert CabinSettings().port == 8009


def test_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CABIN_BUNDLE", "")
    assert CabinSettings().bundle is None


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CABIN_PORT", "http", "CABIN_PORT=http: Input should be a valid integer"),
        ("CABIN_PORT", "65536", "CABIN_PORT=65536: Input should be a TCP port, 0 to 65535"),
        ("CABIN_MAX_BODY_BYTES", "0", "CABIN_MAX_BODY_BYTES=0: Input should be greater than 0"),
        ("CABIN_REQUEST_TIMEOUT_SECONDS", "nan", "CABIN_REQUEST_TIMEOUT_SECONDS=nan: "),
        ("CABIN_REQUEST_TIMEOUT_SECONDS", "inf", "CABIN_REQUEST_TIMEOUT_SECONDS=inf: "),
        ("CABIN_TRACKING_URI", "localhost:5500", "CABIN_TRACKING_URI=localhost:5500: String should match pattern"),
        ("CABIN_LOG_LEVEL", "loud", "CABIN_LOG_LEVEL=loud: Input should be 'debug', 'info'"),
    ],
)
def test_refused_value_is_echoed_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings(CabinSettings)
    assert str(caught.value).startswith(expected)
    assert len(str(caught.value).splitlines()) == 1


def test_every_refused_value_gets_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CABIN_WORKER_THREADS", "-1")
    monkeypatch.setenv("CABIN_LOG_LEVEL", "loud")
    with pytest.raises(SettingsError) as caught:
        read_settings(CabinSettings)
    assert len(str(caught.value).splitlines()) == 2


def test_port_and_model_name_belong_to_the_project() -> None:
    with pytest.raises(SettingsError, match="PORT is not set and has no default"):
        read_settings(ServiceSettings, model_name="x")


def test_bounds_of_a_default_that_a_project_overrides_still_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CABIN_MODEL_POLL_SECONDS", "0")
    with pytest.raises(SettingsError, match="CABIN_MODEL_POLL_SECONDS=0"):
        read_settings(CabinSettings)


def test_unknown_flag_is_refused() -> None:
    with pytest.raises(SettingsError, match="CABIN_COLOUR=red: Extra inputs are not permitted"):
        read_settings(CabinSettings, colour="red")
