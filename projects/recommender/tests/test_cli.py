"""What only this project's commands do; what every project's do is tested in the repository's test_project_cli.py."""

import csv

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


def test_predict_writes_a_file_and_fails_if_rows_were_refused(run, bundle, predictor, tmp_path):
    film = predictor.catalogue.films[0].id
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(f"history\n{film}\n")
    code, _, err = run("predict", source, "-o", target, "--bundle", bundle, "-k", "3")
    assert code == 0
    assert "1 histories answered, 0 refused" in " ".join(err.split())
    with target.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert len(row["films"].split()) == 3

    source.write_text("history\nnone\n")
    assert run("predict", source, "-o", target, "--bundle", bundle)[0] == 1
