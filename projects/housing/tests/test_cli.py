import csv
import os
import sys

import pytest

from housing import cli
from housing.config import TrainConfig
from housing.data.house import EXAMPLE

FLAGS_OF = {
    "data": ["--data"],
    "train": ["--data", "--tracking-uri", "--output", "--if-missing", "--folds", "--seed", "--threads"],
    "tune": ["--data", "--trials", "--study", "--seed", "--threads"],
    "evaluate": ["--data", "--bundle"],
    "predict": ["HOUSES", "--output", "-o", "--bundle"],
    "serve": ["--host", "--port", "--tracking-uri", "--bundle", "--max-body-bytes"],
    "rollback": ["--tracking-uri"],
    "report": ["--data", "--project", "--root-readme"],
}


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("HOUSING_", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function: arguments -> (exit code, what was printed, what was complained about)."""

    def call(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["housing", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
            if isinstance(stop.code, str):  # as the interpreter does
                print(stop.code, file=sys.stderr)  # noqa: T201
        printed = capsys.readouterr()
        return code or 0, printed.out, printed.err

    return call


@pytest.fixture
def houses(tmp_path):
    path = tmp_path / "houses.csv"
    values = ",".join(str(value) for value in EXAMPLE.values())
    path.write_text(f"{','.join(EXAMPLE)}\n{values}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_command(run, arguments):
    code, out, _ = run(*arguments)
    assert code == 0
    for name, command in cli.COMMANDS.items():
        assert f"  {name} " in out
        assert command.help in out


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_a_commands_help_lists_its_flags(run, command):
    """In one spelling: what `train` calls --tracking-uri is not --tracking_uri elsewhere."""
    code, out, _ = run(command, "--help")
    assert code == 0
    for flag in FLAGS_OF[command]:
        assert flag in out
    assert "_" not in "".join(word for word in out.split() if word.startswith("--"))


def test_an_unknown_command_is_answered_with_the_known_ones(run):
    code, out, err = run("predcit")
    assert (code, out) == (1, "")
    assert err.splitlines() == [f"housing: no command 'predcit'; there are {', '.join(cli.COMMANDS)}"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "--folds", "1"], "folds"),
        (["train", "--folds", "many"], "folds"),
        (["tune", "--trials", "0"], "trials"),
        (["serve", "--port", "70000"], "port"),
        (["predict", "houses.csv", "--bundle", "nowhere"], "bundle.json"),
        (["data", "--data", "nowhere.csv"], "nowhere.csv"),
        (["evaluate", "--bundle", "nowhere"], "bundle.json"),
    ],
)
def test_a_bad_value_is_answered_in_one_line_that_names_it(run, arguments, expected):
    code, _, err = run(*arguments)
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert err.startswith(f"housing {arguments[0]}: ")
    assert expected in err
    assert "pydantic.dev" not in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "--nope"], "unrecognized arguments: --nope"),
        (["train", "--data"], "argument --data: expected one argument"),
        (["predict"], "the following arguments are required: HOUSES"),
        (["data", "sample"], "unrecognized arguments: sample"),
    ],
)
def test_a_bad_flag_exits_with_2_and_is_named(run, arguments, expected):
    code, _, err = run(*arguments)
    assert code == 2
    assert err.splitlines()[-1].endswith(expected)


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


def test_a_bundle_with_a_changed_file_is_not_used(run, houses, bundle, tmp_path):
    import shutil

    copy = shutil.copytree(bundle, tmp_path / "copy")
    content = bytearray((copy / "trees.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "trees.npz").write_bytes(content)
    code, _, err = run("predict", houses, "-o", tmp_path / "out.csv", "--bundle", copy)
    assert code == 1
    assert "trees.npz: expected sha256" in err
    assert not (tmp_path / "out.csv").exists()


def test_a_file_with_a_broken_row_structure_is_answered_in_one_line(run, houses, bundle):
    houses.write_text(f'{",".join(EXAMPLE)},note\n"{"x" * 200_000}\n', encoding="utf-8")
    code, _, err = run("predict", houses, "-o", houses.with_name("out.csv"), "--bundle", bundle)
    assert code == 1
    assert err.strip().splitlines()[-1].startswith("housing predict: ")


def test_data_reports_what_was_read_and_repaired(run):
    code, out, _ = run("data", "--data", "sample")
    assert code == 0
    assert "generated here" in out
    assert "garage built after the sale (2207): year unknown" in out


def test_evaluate_prints_the_metrics_of_the_bundle(run, bundle, trained):
    code, out, _ = run("evaluate", "--bundle", bundle, "--data", "sample")
    assert code == 0
    estimate = trained.evaluation.metrics["mean_absolute_error"].estimate
    assert f"MAE, dollars: {estimate:,.0f} (" in out


def test_train_passes_its_flags_on(run, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("housing.train.train", seen.append)
    output = tmp_path / "bundle"
    code, _, _ = run(
        "train", "--data", "sample", "--tracking-uri", "", "--if-missing", "--folds", "3", "--output", output
    )
    assert code == 0
    assert seen == [TrainConfig(data="sample", tracking_uri="", if_missing=True, folds=3, output=output)]


@pytest.mark.parametrize(("command", "target"), [("tune", "housing.tune.tune"), ("report", "housing.report.report")])
def test_the_other_commands_pass_their_flags_on(run, monkeypatch, command, target):
    seen = []
    monkeypatch.setattr(target, seen.append)
    assert run(command, "--data", "sample", "--threads", "1")[0] == 0
    assert (seen[0].data, seen[0].threads) == ("sample", 1)


def test_rollback_names_the_version_that_is_champion_again(run, monkeypatch):
    from portfolio_shared.serving.registry_client import RegisteredVersion

    asked = []

    def rollback(name, *, tracking_uri):
        asked.append((name, tracking_uri))
        return RegisteredVersion(name=name, version="3", run_id="r", bundle_sha256="0" * 64, data_source="sample")

    monkeypatch.setattr("portfolio_shared.tracking.registry.rollback", rollback)
    code, out, _ = run("rollback", "--tracking-uri", "http://here:5000")
    assert code == 0
    assert asked == [("housing", "http://here:5000")]
    assert "housing: version 3 is champion again (sample data)" in out


def test_serve_passes_flags_and_environment_on(run, monkeypatch):
    seen = {}
    monkeypatch.setattr("portfolio_shared.serving.server.serve", lambda *_, **settings: seen.update(settings))
    monkeypatch.setenv("HOUSING_WORKER_THREADS", "5")
    assert run("serve", "--port", "9001")[0] == 0
    assert (seen["port"], seen["worker_threads"], seen["host"]) == (9001, 5, "127.0.0.1")


def test_a_flag_wins_over_the_environment(run, monkeypatch):
    seen = []
    monkeypatch.setattr("housing.train.train", seen.append)
    monkeypatch.setenv("HOUSING_TRAIN_SEED", "1")
    monkeypatch.setenv("HOUSING_TRAIN_FOLDS", "4")
    assert run("train", "--seed", "2")[0] == 0
    assert (seen[0].seed, seen[0].folds) == (2, 4)


@pytest.mark.parametrize("command", ["train", "data", "predict", "evaluate"])
def test_a_misspelt_variable_is_refused_by_name(run, monkeypatch, houses, bundle, command):
    monkeypatch.setattr("housing.train.train", lambda config: None)
    monkeypatch.setenv("HOUSING_TRAIN_SEDE", "3")
    arguments = {"data": ["--data", "sample"], "predict": [houses, "-o", houses.with_name("o.csv"), "--bundle", bundle]}
    code, _, err = run(command, *arguments.get(command, []))
    assert code == 1
    assert "HOUSING_TRAIN_SEDE" in err


def test_a_misspelt_variable_of_the_service_is_refused_by_name(run, monkeypatch):
    monkeypatch.setattr("portfolio_shared.serving.server.serve", lambda *_, **settings: None)
    monkeypatch.setenv("HOUSING_PROT", "1")
    code, _, err = run("serve")
    assert code == 1
    assert "HOUSING_PROT is not a setting; the nearest one is HOUSING_PORT" in err


def test_where_the_bundle_is_trained_to_is_not_where_prices_go(run, monkeypatch, houses, bundle, tmp_path):
    """The training's --output is a folder; its variable must not name the file of `predict` as well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOUSING_TRAIN_OUTPUT", str(tmp_path / "trained"))
    code, _, _ = run("predict", houses, "--bundle", bundle)
    assert code == 0
    assert (tmp_path / "prices.csv").is_file()
    assert not (tmp_path / "trained").exists()
