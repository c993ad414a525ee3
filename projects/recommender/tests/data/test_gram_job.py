"""The Gram matrices of a stored data set: summed of its files, kept, and found by what they depend on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from filelock import FileLock

from portfolio_shared.data.checks import DataError
from recommender.config import EaseSettings
from recommender.data import gram_job, shaping
from recommender.data.etl.manifest import read_manifest
from recommender.data.gram_job import missing, path_of, sum_missing
from recommender.data.load import Dataset, split
from recommender.data.shaping import emphasis, shaping_films
from recommender.data.totals import read_totals
from recommender.models.gram import read_gram

SETTINGS = EaseSettings(min_raters=3)


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored, tmp_path / "stored", ignore=shutil.ignore_patterns("grams")))


def test_they_are_the_products_of_the_ratings_before_the_validation_and_before_the_test(
    folder: Path, sample: Dataset
) -> None:
    new = sum_missing(folder, SETTINGS, "duckdb", memory_limit="200MB")
    assert new == [path_of(folder, SETTINGS, part) for part in ("train", "before_test")]
    parts = split(sample)
    for path, ratings in zip(new, (parts.train, parts.before_test), strict=True):
        films = shaping_films(ratings.item_counts(), min_raters=3)
        weights = sp.diags_array(emphasis(ratings.user_counts(), SETTINGS.length_exponent))
        X = weights @ ratings.matrix()[:, films].astype(np.float64)
        np.testing.assert_allclose(np.load(path, allow_pickle=False), (X.T @ X).toarray(), rtol=1e-6, atol=0)


def test_what_is_kept_is_not_summed_again_and_what_does_not_fit_is_not_found(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "grams").mkdir()
    (folder / "grams" / "killed.part").touch()
    sum_missing(folder, SETTINGS, "duckdb", memory_limit="200MB")
    assert sorted(path.suffix for path in (folder / "grams").iterdir()) == [".npy", ".npy"]
    monkeypatch.setattr(gram_job, "open_engine", lambda *_, **__: pytest.fail("an engine was started"))
    assert sum_missing(folder, SETTINGS, "duckdb", memory_limit="200MB") == []
    for changed in ({"min_raters": 4}, {"length_exponent": 0.3}):
        assert missing(folder, SETTINGS.model_copy(update=changed)) == ["train", "before_test"]
    assert missing(folder, SETTINGS.model_copy(update={"penalty": 1.0, "rank": 2})) == []
    (tmp_path / "changed.py").write_text("# a remark\n")
    with monkeypatch.context() as changed_code:
        changed_code.setattr(shaping, "__file__", str(tmp_path / "changed.py"))
        assert missing(folder, SETTINGS) == ["train", "before_test"]
    path_of(folder, SETTINGS, "train").unlink()
    assert missing(folder, SETTINGS) == ["train"]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (ratings,) = (stage for stage in manifest["stages"] if stage["name"] == "ratings")
    ratings["files"] = dict.fromkeys(ratings["files"], "0" * 64)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert missing(folder, SETTINGS) == ["train", "before_test"]


def test_a_matrix_of_other_ratings_than_those_drawn_is_not_read(folder: Path) -> None:
    sum_missing(folder, SETTINGS, "duckdb", memory_limit="200MB")
    totals, manifest = read_totals(folder), read_manifest(folder)
    assert read_gram(folder, totals, SETTINGS, "train", manifest).matrix.any()
    ratings = manifest.stage("ratings")
    files = dict.fromkeys(ratings.files, "0" * 64)
    stages = [stage.model_copy(update={"files": files}) if stage == ratings else stage for stage in manifest.stages]
    with pytest.raises(DataError, match="was written anew meanwhile, or was not summed: try again"):
        read_gram(folder, totals, SETTINGS, "train", manifest.model_copy(update={"stages": tuple(stages)}))


def test_data_in_which_no_film_has_enough_raters_are_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match="no film was rated by 301 people"):
        sum_missing(folder, EaseSettings(min_raters=301), "duckdb", memory_limit="200MB")
    assert not (folder / "grams").exists()


def test_nothing_is_summed_of_a_folder_that_was_changed_or_is_being_written(folder: Path) -> None:
    with FileLock(folder.with_name(".stored.lock")), pytest.raises(DataError, match="another run writes"):
        sum_missing(folder, SETTINGS, "duckdb", memory_limit="200MB")
    path = folder / "counts" / "0000.parquet"
    pq.write_table(pq.read_table(path), path, compression="none")
    with pytest.raises(DataError, match=r"counts/0000\.parquet is missing or was changed"):
        sum_missing(folder, SETTINGS, "duckdb", memory_limit="200MB")
    assert not (folder / "grams").exists()


def test_the_job_sums_with_the_settings_in_use_or_those_of_a_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = tmp_path / "tuned.json"
    tuned.write_text(json.dumps({"time": {"settings": {"ease": {"min_raters": 3}}}}), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["gram_job", str(folder), "--engine", "duckdb", "--tuned", str(tuned)])
    gram_job.main()
    assert missing(folder, SETTINGS) == []
    assert capsys.readouterr().out.split() == [str(path_of(folder, SETTINGS, part)) for part in gram_job.PARTS]
