"""A project's program, run in this process as a person would run it."""

import importlib
import os
import sys
from collections.abc import Callable

import pytest

Run = Callable[..., tuple[int, str, str]]


def command_line(project: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function: arguments -> (exit code, standard output, standard error). No setting comes from our shell."""
    package = project.replace("-", "_")
    main = importlib.import_module(f"{package}.cli").main
    for name in list(os.environ):
        if name.startswith((f"{package.upper()}_", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [project, *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        if isinstance(code, str):  # as the interpreter does
            return 1, printed.out, printed.err + code
        return int(str(code or 0)), printed.out, printed.err

    return run
