"""Notebooks are for people who start there: in step with their text form, without logic of their own, and they run."""

import ast
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from project_table import Project, projects

NOTEBOOKS = [path for project in projects() for path in sorted(project.folder.glob("notebooks/*.ipynb"))]
LOGIC = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.If, ast.IfExp, ast.Try),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)
MOST_LINES = 60

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=[f"{path.parts[-3]}-{path.stem}" for path in NOTEBOOKS])


def cells(path: Path) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]


def test_every_project_has_a_notebook(project: Project) -> None:
    assert (project.folder / "notebooks" / "explore.ipynb").is_file()


@each
def test_a_notebook_says_what_its_text_form_says(path: Path) -> None:
    assert cells(path) == cells(path.with_suffix(".py")), f"run `jupytext --sync {path.name}`"


@each
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert code
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []


@each
def test_a_notebook_has_no_logic_of_its_own(path: Path) -> None:
    code = "\n".join(source for kind, source in cells(path) if kind == "code")
    assert [ast.unparse(node) for node in ast.walk(ast.parse(code)) if isinstance(node, LOGIC)] == []
    assert len([line for line in code.splitlines() if line.strip()]) <= MOST_LINES


@pytest.mark.long
@each
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
