from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from portfolio_shared.environment import UnknownVariableError
from portfolio_shared.serving.settings import RolloutError, ServiceSettings


class CabinSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CABIN_")
    port: int = 8009
    model_name: str = "cabin"


def test_environment_wins_over_defaults_and_flags_win_over_both(monkeypatch):
    assert CabinSettings().port == 8009
    monkeypatch.setenv("CABIN_PORT", "9000")
    monkeypatch.setenv("CABIN_BUNDLE", "some/folder")
    assert CabinSettings().port == 9000
    assert CabinSettings().bundle == Path("some/folder")
    assert CabinSettings(port=9001).port == 9001
    monkeypatch.setenv("CABIN_BUNDLE", "")  # counts as unset: compose files pass those
    assert CabinSettings().bundle is None


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("CABIN_MAX_BODY_BYTE", "CABIN_MAX_BODY_BYTES"),
        ("CABIN_WORKER_THREAD", "CABIN_WORKER_THREADS"),
        ("cabin_prot", "CABIN_PORT"),
    ],
)
def test_misspelt_variable_is_refused_with_the_nearest_name(monkeypatch, name, nearest):
    monkeypatch.setenv(name, "1")
    with pytest.raises(
        UnknownVariableError, match=f"^{name.upper()} is not a setting; the nearest one is {nearest}\\."
    ):
        CabinSettings()


def test_variables_of_training_and_of_other_programs_are_ignored(monkeypatch):
    monkeypatch.setenv("CABIN_TRAIN_SEED", "3")
    monkeypatch.setenv("CABINET_PORT", "3")
    monkeypatch.setenv("PORT", "3")
    assert CabinSettings().port == 8009


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("port", "http", "valid integer"),
        ("port", "65536", "TCP port, 0 to 65535"),
        ("max_body_bytes", "0", "greater than 0"),
        ("max_total_body_bytes", "0", "greater than 0"),
        ("max_header_bytes", "999", "greater than or equal to 1000"),
        ("max_connections", "0", "greater than 0"),
        ("max_connections_per_client", "0", "greater than 0"),
        ("client_timeout_seconds", "0", "greater than 0"),
        ("model_poll_seconds", "0", "greater than 0"),
        ("request_timeout_seconds", "nan", "finite"),
        ("request_timeout_seconds", "inf", "finite"),
        ("tracking_uri", "localhost:5500", "match pattern"),
        ("tracking_uri", "http://me:p/ss@host:5500", "special characters as %-codes"),
        ("prediction_log", "mysql://host/db", "match pattern"),
        ("prediction_log", "sqlite:///", "match pattern"),
        ("log_days", "0", "greater than 0"),
        ("log_megabytes", "-1", "greater than 0"),
        ("trace_uri", "localhost:4318", "match pattern"),
        ("trace_uri", "http://me:p/ss@host:4318", "special characters as %-codes"),
        ("trusted_proxies", "*", "choose their own"),
        ("trusted_proxies", "10.0.0.1, *", "choose their own"),
        ("trusted_proxies", "0.0.0.0/0", "choose their own"),
        ("trusted_proxies", "::/0", "choose their own"),
        ("trusted_proxies", "10.0.0.1/8", "addresses or networks"),
        ("trusted_proxies", "proxy.example", "addresses or networks"),
        ("log_level", "loud", "'debug', 'info'"),
        ("rollout", "on", "'off', 'shadow' or 'canary'"),
        ("canary_share", "0", "greater than 0"),
        ("canary_share", "1", "less than 1"),
    ],
)
def test_value_out_of_bounds_is_refused(monkeypatch, field, value, expected):
    monkeypatch.setenv(f"CABIN_{field.upper()}", value)
    with pytest.raises(ValidationError, match=rf"(?s)\n{field}\n.*{expected}"):
        CabinSettings()


def test_what_kubernetes_invents_for_a_service_is_no_setting(monkeypatch):
    for name, value in {
        "PORT": "tcp://10.0.0.1:8009",
        "PORT_8009_TCP": "tcp://10.0.0.1:8009",
        "PORT_8009_TCP_PROTO": "tcp",
        "PORT_8009_TCP_PORT": "8009",
        "PORT_8009_TCP_ADDR": "10.0.0.1",
        "PORT_53_UDP_ADDR": "10.0.0.1",
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "8009",
        "SERVICE_PORT_HTTP": "8009",
        "API_PORT": "tcp://10.0.0.2:80",
        "API_PORT_80_TCP_ADDR": "10.0.0.2",
        "API_SERVICE_HOST": "10.0.0.2",
        "API_SERVICE_PORT": "80",
    }.items():
        monkeypatch.setenv(f"CABIN_{name}", value)
    assert CabinSettings().port == 8009
    assert CabinSettings(port=9001).port == 9001
    with pytest.raises(ValidationError, match="valid integer"):  # nobody invented this one
        CabinSettings(port="tcp://10.0.0.2:8009")


@pytest.mark.parametrize(("name", "value"), [("SERVICE_PROT", "80"), ("PORT_8009", "x"), ("API_PORT", "80")])
def test_what_only_resembles_it_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"CABIN_{name}", value)
    with pytest.raises(UnknownVariableError, match=f"CABIN_{name} is not a setting"):
        CabinSettings()


@pytest.mark.parametrize(
    ("for_all", "own", "expected"),
    [
        (None, None, "sqlite:///.state/predictions.db"),
        ("", None, "sqlite:///.state/predictions.db"),
        ("off", None, "off"),
        ("off", "sqlite:///own.db", "sqlite:///own.db"),
    ],
)
def test_the_prediction_log_is_named_for_all_services_or_for_one(monkeypatch, for_all, own, expected):
    for name, value in {"PORTFOLIO_PREDICTION_LOG": for_all, "CABIN_PREDICTION_LOG": own}.items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    assert CabinSettings().prediction_log == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"rollout": "shadow", "prediction_log": "off"},
            "'shadow' writes to the prediction log: set CABIN_PREDICTION_LOG",
        ),
        ({"rollout": "canary", "bundle": Path("folder")}, "'canary' takes the challenger .*: unset CABIN_BUNDLE"),
    ],
)
def test_a_rollout_without_what_it_needs_is_refused(settings, expected):
    with pytest.raises(RolloutError, match=expected):
        CabinSettings(**settings)
