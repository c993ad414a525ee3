"""A bundle is exactly what was written, or it is refused."""

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from portfolio_shared.bundle import (
    BundleError,
    MetricValue,
    bundle_digest,
    check_relative,
    metric_values,
    parse_manifest,
    read_manifest,
    replace_bundle,
    write_bundle,
)
from portfolio_shared.evaluation.uncertainty import Interval


def edit_manifest(bundle, **changes):
    path = bundle / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_written_is_read(bundle, toy_manifest):
    manifest = read_manifest(bundle, project="toy")
    assert manifest == toy_manifest(files=manifest.files)
    assert list(manifest.files) == ["notes/weight.txt", "params.npz"]
    assert manifest.files["notes/weight.txt"] == hashlib.sha256(b"2.0\n").hexdigest()
    assert manifest.created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_digest_is_the_hash_of_the_manifest_and_changes_with_any_file(bundle, make_bundle):
    assert bundle_digest(bundle) == hashlib.sha256((bundle / "bundle.json").read_bytes()).hexdigest()
    assert bundle_digest(make_bundle()) == bundle_digest(bundle)
    assert bundle_digest(make_bundle(weight=2.5)) != bundle_digest(bundle)


def test_writing_again_replaces_the_manifest_and_leaves_nothing_else(bundle, toy_manifest):
    (bundle / ".bundle.json.tmp").write_text("left by a process that was killed")
    (bundle / "more.txt").write_text("more")
    write_bundle(bundle, toy_manifest(labels=("a", "b")))
    written = read_manifest(bundle)
    assert sorted(written.files) == ["more.txt", "notes/weight.txt", "params.npz"]
    assert written.labels == ("a", "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bundle: (bundle / "params.npz").write_bytes(b""), r"params\.npz: expected sha256 \w{64}, found \w{64}"),
        (lambda bundle: (bundle / "notes" / "weight.txt").unlink(), r"weight\.txt: named in bundle\.json, but missing"),
        (lambda bundle: (bundle / "notes" / "extra").touch(), r"extra: not named in bundle\.json"),
        (lambda bundle: os.mkfifo(bundle / "pipe"), "found a special file"),  # which is not opened
        (lambda bundle: (bundle / "bundle.json").unlink(), "found no such file"),
        (lambda bundle: (bundle / "bundle.json").write_text("null"), r"bundle\.json: "),
        (lambda bundle: (bundle / "bundle.json").write_text("{"), r"bundle\.json: "),
    ],
    ids=["changed", "missing", "more", "pipe", "no manifest", "no object", "no JSON"],
)
def test_what_was_changed_afterwards_is_refused_by_name(bundle, change, message):
    change(bundle)
    with pytest.raises(BundleError, match=message):
        read_manifest(bundle)


@pytest.mark.parametrize("target", ["params.npz", "notes"])
def test_links_are_refused_even_to_the_same_content(bundle, tmp_path, toy_manifest, target):
    (bundle / target).rename(tmp_path / "outside")
    (bundle / target).symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match=f"{target}: expected a plain file, found a symbolic link"):
        read_manifest(bundle)
    with pytest.raises(BundleError, match="symbolic link"):
        write_bundle(bundle, toy_manifest())


def test_a_linked_manifest_is_refused(bundle, tmp_path):
    (bundle / "bundle.json").rename(tmp_path / "bundle.json")
    (bundle / "bundle.json").symlink_to(tmp_path / "bundle.json")
    with pytest.raises(BundleError, match="found no such file"):
        read_manifest(bundle)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "a//b", "./a", "a/", "", ".", "a\\b", "C:x", "a\nb", "..", "a/.."]
)
def test_paths_that_leave_the_folder_are_refused(bundle, name):
    with pytest.raises(BundleError, match="plain relative path"):
        check_relative(name)
    edit_manifest(bundle, files={name: "0" * 64})
    with pytest.raises(BundleError, match="plain relative path"):
        parse_manifest(bundle)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "expected format_version 1, found 2"),
        ({"project": "housing"}, "expected a bundle of 'toy', found 'housing'"),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"created": "2026-01-02T03:04:05"}, "created: Input should have timezone info"),
        ({"metrics": {"error": {"estimate": None}}}, r"metrics\.error\.estimate"),
        ({"files": {"params.npz": "abc"}}, r"files\.params\.npz"),
    ],
)
def test_a_malformed_manifest_says_where(bundle, changes, message):
    edit_manifest(bundle, **changes)
    with pytest.raises(BundleError, match=message):
        read_manifest(bundle, project="toy")


def test_numbers_that_json_lacks_are_refused(make_bundle):
    with pytest.raises(ValidationError, match="finite"):
        MetricValue(estimate=float("nan"))
    with pytest.raises(ValidationError, match="finite"):
        make_bundle(config={"rate": float("inf")})


def test_metrics_have_the_bounds_of_their_intervals_where_they_have_one():
    assert metric_values({"error": Interval(0.5, 0.25, 0.75), "share": 0.4}) == {
        "error": MetricValue(estimate=0.5, low=0.25, high=0.75),
        "share": MetricValue(estimate=0.4),
    }


@dataclass(frozen=True)
class Weight:
    value: float

    def predict(self, inputs):
        return [self.value * number for number in inputs]

    def save(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weight.txt").write_text(str(self.value), encoding="utf-8")


def load_weight(folder):
    return Weight(float((folder / "weight.txt").read_text(encoding="utf-8")))


def replace(folder, manifest, weight, *, load=load_weight):
    replace_bundle(folder, manifest, Weight(weight), load=load, inputs=[3.0], reference={"area": np.ones(3)})


def test_an_older_bundle_is_replaced_whole(tmp_path, toy_manifest):
    folder = tmp_path / "models" / "bundle"
    replace(folder, toy_manifest(), 2.0)
    (folder / "left-over.npz").write_bytes(b"of another model")
    replace(folder, toy_manifest(), 4.0)
    assert set(read_manifest(folder).files) == {"reference.npz", "weight.txt"}
    assert load_weight(folder).value == 4.0


def test_an_empty_folder_becomes_a_bundle(tmp_path, toy_manifest):
    replace(tmp_path, toy_manifest(), 2.0)
    assert load_weight(tmp_path).value == 2.0


@pytest.mark.parametrize("place", ["folder", "file"])
def test_what_is_no_bundle_is_not_deleted(tmp_path, toy_manifest, place):
    """A mistyped path must not cost a person their files."""
    thesis = tmp_path / "documents" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("three years", encoding="utf-8")
    with pytest.raises((ValueError, OSError), match="documents"):
        replace({"folder": thesis.parent, "file": thesis}[place], toy_manifest(), 2.0)
    assert thesis.read_text(encoding="utf-8") == "three years"


def test_what_reads_back_as_something_else_is_not_left_in_silence(tmp_path, toy_manifest):
    with pytest.raises(
        RuntimeError, match=r"the saved model predicts \[15\.0\], the fitted one \[6\.0\]: do not use it"
    ):
        replace(tmp_path / "bundle", toy_manifest(), 2.0, load=lambda folder: Weight(5.0))


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_empty(bundle, monkeypatch):
    def scandir(path):
        if Path(path).name == "notes":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    listed = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError):
        read_manifest(bundle)
