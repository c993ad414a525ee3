"""The watch over imports, which test_project_imports.py relies on, sees what it should."""

import pytest


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("from pathlib import Path; Path('notes.txt').write_text('x')", "open notes.txt"),
        ("import os; os.environ.get('TOY_PORT')", "reads TOY_PORT from the environment"),
        ("import os; os.getenv('TOY_PORT')", "reads TOY_PORT from the environment"),
        ("import os; dict(os.environ)", "lists the environment"),
        ("import socket; socket.socket().connect_ex(('127.0.0.1', 9))", "socket.connect"),
        ("import os; os.mkdir('made')", "os.mkdir"),
        ("import json; PORT = 8000", None),
    ],
)
def test_the_watch_sees_what_it_should(watch_imports, monkeypatch, tmp_path, line, what):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").touch()
    (tmp_path / "toy" / "busy.py").write_text(line + "\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    lines = watch_imports(["toy"], ["toy.busy"])

    assert any("busy.py:1: " in line and what in line for line in lines) if what else lines == []
