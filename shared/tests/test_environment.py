import pytest

from portfolio_shared.environment import UnknownVariableError, refuse_unknown_variables


def test_known_and_foreign_variables_pass(monkeypatch):
    monkeypatch.setenv("TOY_PORT", "1")
    monkeypatch.setenv("toy_host", "x")
    monkeypatch.setenv("OTHER_THING", "1")
    refuse_unknown_variables("TOY_", ["port", "host"])


def test_a_misspelt_variable_is_refused_with_the_nearest_name(monkeypatch):
    monkeypatch.setenv("TOY_PROT", "1")
    with pytest.raises(UnknownVariableError, match="TOY_PROT is not a setting; the nearest one is TOY_PORT"):
        refuse_unknown_variables("TOY_", ["port", "host"])


def test_somebody_elses_prefix_is_left_alone(monkeypatch):
    monkeypatch.setenv("TOY_TRAIN_SEED", "1")
    refuse_unknown_variables("TOY_", ["port"], except_prefix="TOY_TRAIN_")
    with pytest.raises(UnknownVariableError, match="TOY_TRAIN_SEED"):
        refuse_unknown_variables("TOY_", ["port"])
