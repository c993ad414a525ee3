"""What only this project's commands do; what every project's do is tested in the repository's test_project_cli.py."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import command_line


@pytest.fixture
def run(monkeypatch, capsys):
    return command_line("recommender", monkeypatch, capsys)


def test_an_unknown_data_set_is_refused_without_a_traceback(run):
    code, _, err = run("data", "--data", "sample", "--dataset", "2m")
    assert code == 1
    assert err.startswith("recommender data: ")
    assert "latest-small" in err


def test_etl_writes_tables_that_data_and_train_read_as_any_other(run, write_slice, tmp_path):
    """What is read of the folder is what is read of the files; a second run has nothing to do."""
    source, out = write_slice(tmp_path / "few", 30), tmp_path / "tables"
    code, said, _ = run("etl", source, "-o", out)
    assert code == 0
    assert [line.split(":")[0] for line in said.splitlines()[1:7]] == [
        "films", "rows", "ratings", "people", "counts", "quarantine"
    ]  # fmt: skip
    tables = [run("data", "--data", path)[1] for path in (source, out)]
    assert tables[0].splitlines()[2:] == tables[1].replace("tables", "few   ").splitlines()[2:]
    again = run("etl", source, "-o", out)[1]
    assert again.count("unchanged") == 6
    code, _, err = run("etl", source, "-o", out, "--memory-limit", "much")
    assert code == 1
    assert err.startswith("recommender etl: DuckDB does not start: ")


def test_predict_writes_a_file_and_fails_if_rows_were_refused(run, bundle, predictor, tmp_path):
    film = predictor.catalogue.films[0].id
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(f"history\n{film}\n")
    code, _, err = run("predict", source, "-o", target, "--bundle", bundle, "-k", "3")
    assert code == 0
    assert err.startswith(f"{bundle}: model of 20")
    assert "1 histories answered, 0 refused" in " ".join(err.split())
    with target.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert len(row["films"].split()) == 3

    source.write_text("history\nnone\n")
    assert run("predict", source, "-o", target, "--bundle", bundle)[0] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a file, or --follow"),
        (["--follow", "-o", "out.csv"], "leave out --output"),
        (["--follow", "-k", "3"], "leave out --k"),
        (["histories.csv"], "train first, or name one with --bundle (run in the clone's root)"),
    ],
)
def test_predict_says_in_one_line_what_is_missing(run, arguments, said, tmp_path):
    code, out, err = run("predict", *arguments, "--bundle", tmp_path)
    assert (code, out) == (1, "")
    assert said in err
    assert err.count("\n") <= 1


@pytest.mark.long
def test_a_file_is_utf_8_whatever_the_locale(bundle, predictor, tmp_path):
    """A process of its own, because Python asks for the locale once; that of C knows ASCII alone."""
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(f"name,history\nŁukasz José,{predictor.catalogue.films[0].id}\n", encoding="utf-8")
    program = Path(sys.executable).with_name("recommender")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [program, "predict", source, "-o", target, "--bundle", bundle]
    result = subprocess.run(command, env=os.environ | locale, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Łukasz José," in target.read_text(encoding="utf-8")
