import csv
import subprocess
import sys
from pathlib import Path

import pytest

from recommender import cli
from recommender.cli import COMMANDS, main
from recommender.data.sample import write_sample
from recommender.models.predictor import Predictor


@pytest.fixture
def run(monkeypatch):
    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["recommender", *map(str, arguments)])
        main()

    return call


def test_help_lists_every_command_with_what_it_does(run, capsys):
    for arguments in ([], ["--help"]):
        run(*arguments)
        printed = capsys.readouterr().out
        assert all(f"  {name:9} {command.help}" in printed for name, command in COMMANDS.items())


def test_the_commands_are_those_of_the_other_projects():
    assert list(COMMANDS) == ["data", "train", "tune", "evaluate", "predict", "serve", "rollback", "report"]


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_explains_its_flags(run, capsys, command):
    with pytest.raises(SystemExit) as ended:
        run(command, "--help")
    assert ended.value.code == 0
    assert "--" in capsys.readouterr().out


def test_an_unknown_command_is_refused(run):
    with pytest.raises(SystemExit, match="no command 'trian'; there are data, train"):
        run("trian")


def test_an_unknown_data_set_is_refused_without_a_traceback(run):
    with pytest.raises(SystemExit, match="recommender data: ") as ended:
        run("data", "--data", "sample", "--dataset", "2m")
    assert "latest-small" in str(ended.value.code)


def test_data_that_are_not_there_are_refused_in_a_line(run):
    with pytest.raises(SystemExit, match="data source 'no-such-folder' is none of auto, sample, full"):
        run("data", "--data", "no-such-folder")


def test_data_are_reported(run, capsys, tmp_path):
    folder = write_sample(tmp_path / "few", n_users=20, n_films=60, mean_ratings=30)
    run("data", "--data", folder)
    printed = capsys.readouterr().out
    assert "ratings of few" in printed
    assert "kept" in printed


def test_predict_writes_a_file_and_fails_if_rows_were_refused(run, bundle, tmp_path, capsys):
    film = Predictor.load(bundle).catalogue.films[0].id
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(f"history\n{film}\n")
    run("predict", source, "-o", target, "--bundle", bundle, "-k", "3")
    with target.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert len(row["films"].split()) == 3
    assert "1 histories answered, 0 refused" in " ".join(capsys.readouterr().err.split())
    source.write_text("history\nnone\n")
    with pytest.raises(SystemExit) as ended:
        run("predict", source, "-o", target, "--bundle", bundle)
    assert ended.value.code == 1


def test_a_damaged_bundle_is_not_used(run, bundle, tmp_path):
    import shutil

    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    (copy / "weights.json").write_text("{}")
    (tmp_path / "in.csv").write_text("history\n1\n")
    with pytest.raises(SystemExit, match=r"weights\.json: expected sha256"):
        run("predict", tmp_path / "in.csv", "--bundle", copy)


def test_evaluate_says_what_training_said(run, bundle, trained, capsys):
    run("evaluate", "--data", "sample", "--bundle", bundle)
    printed = capsys.readouterr().out
    interval = trained.evaluation.metric("ndcg")
    assert f"nDCG@10: {interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f})" in printed
    assert "may have learned" not in printed


def test_without_a_server_a_person_is_told_what_to_do(run, tmp_path):
    with pytest.raises(SystemExit, match=r"recommender rollback: no MLflow server at http://127\.0\.0\.1:9"):
        run("rollback", "--tracking-uri", "http://127.0.0.1:9")


def test_importing_the_command_line_loads_nothing_heavy():
    heavy = ("pandas", "scipy", "mlflow", "implicit", "matplotlib", "fastapi")
    code = f"import sys, recommender.cli; print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_one_bundle_folder_is_meant_by_all_commands():
    from recommender.config import TrainConfig

    assert TrainConfig.model_fields["output"].default == cli.BUNDLE
