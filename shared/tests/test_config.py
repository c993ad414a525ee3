import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliApp

from portfolio_shared.config import Frozen, command_settings, default_tracking_uri


class Trees(Frozen):
    depth: int = 3


class Options(BaseSettings):
    model_config = command_settings("TOY_TRAIN_")
    if_missing: bool = False
    max_depth: int = 3


def test_hyper_parameters_do_not_change_and_a_misspelt_one_is_an_error():
    with pytest.raises(ValidationError, match="frozen"):
        Trees().depth = 4
    with pytest.raises(ValidationError, match="dehpt"):
        Trees(dehpt=4)


def test_flags_are_in_kebab_case_and_win_over_the_prefixed_variable(monkeypatch):
    monkeypatch.setenv("TOY_TRAIN_MAX_DEPTH", "5")
    assert CliApp.run(Options, cli_args=[]).max_depth == 5
    options = CliApp.run(Options, cli_args=["--if-missing", "--max-depth", "7"])
    assert (options.if_missing, options.max_depth) == (True, 7)


def test_the_tracking_server_is_mlflows_variable_or_the_one_of_make_up(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there:1")
    assert default_tracking_uri() == "http://there:1"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert default_tracking_uri() == "http://127.0.0.1:5500"
