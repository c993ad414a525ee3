"""What only this project's commands do; what every project's do is tested in the repository's test_project_cli.py."""

import csv
import re

import pytest
from command_line import command_line

from housing.data.house import EXAMPLE


@pytest.fixture
def run(monkeypatch, capsys):
    return command_line("housing", monkeypatch, capsys)


@pytest.fixture
def houses(tmp_path):
    path = tmp_path / "houses.csv"
    values = ",".join(str(value) for value in EXAMPLE.values())
    path.write_text(f"{','.join(EXAMPLE)}\n{values}\n", encoding="utf-8")
    return path


def test_a_file_is_priced_end_to_end(run, houses, bundle, predictor):
    output = houses.with_name("out.csv")
    code, _, err = run("predict", houses, "-o", output, "--bundle", bundle)
    assert code == 0
    assert "1 houses priced, 0 refused" in err
    with output.open(newline="", encoding="utf-8") as file:
        (row,) = list(csv.DictReader(file))
    (expected,) = predictor.predict([EXAMPLE])
    assert float(row["price"]) == expected.price
    assert (float(row["low"]), float(row["high"])) == (expected.interval.low, expected.interval.high)


def test_refused_rows_are_counted_and_turn_the_exit_code(run, houses, bundle):
    text = houses.read_text(encoding="utf-8")
    houses.write_text(text + text.splitlines()[1].replace("CollgCr", "Atlantis") + "\n", encoding="utf-8")
    output = houses.with_name("out.csv")
    code, _, err = run("predict", houses, "--output", output, "--bundle", bundle)
    assert code == 1
    assert "1 houses priced, 1 refused (column error)" in err
    assert len(output.read_text(encoding="utf-8").splitlines()) == 3


def test_a_file_with_a_broken_row_structure_is_answered_in_one_line(run, houses, bundle):
    houses.write_text(f'{",".join(EXAMPLE)},note\n"{"x" * 200_000}\n', encoding="utf-8")
    code, _, err = run("predict", houses, "-o", houses.with_name("out.csv"), "--bundle", bundle)
    assert code == 1
    assert "0 houses priced, 1 refused" in err.strip().splitlines()[-1]


def test_predict_says_which_model_prices_and_what_is_missing(run, houses, bundle, tmp_path):
    output = tmp_path / "out.csv"
    _, _, err = run("predict", houses, "-o", output, "--bundle", bundle)
    assert re.match(
        rf"{re.escape(str(bundle))}: model of 20\d\d-\d\d-\d\d \d\d:\d\d UTC, learned from .+ \(path\)\n", err
    )
    _, _, err = run("predict", houses, "-o", output, "--bundle", tmp_path)
    assert err == (
        f"housing predict: no model in {tmp_path}: train first, or name one with --bundle (run in the clone's root)"
    )
    for arguments, said in ((["--follow", "-o", output], "leave out --output"), ([], "name a file, or --follow")):
        code, out, err = run("predict", *arguments)
        assert (code, out) == (1, "")
        assert said in err
