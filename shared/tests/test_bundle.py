"""A bundle is exactly what was written, or it is refused."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from portfolio_shared.bundle import (
    BundleError,
    Manifest,
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

MakeBundle = Callable[..., Path]
MakeManifest = Callable[..., Manifest]


def edit_manifest(bundle: Path, **changes: object) -> None:
    path = bundle / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_written_is_read(bundle: Path, toy_manifest: MakeManifest) -> None:
    manifest = read_manifest(bundle, project="toy")
    assert manifest == toy_manifest(files=manifest.files)
    assert list(manifest.files) == ["notes/weight.txt", "params.npz"]
    assert manifest.files["notes/weight.txt"] == hashlib.sha256(b"2.0\n").hexdigest()
    assert manifest.created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_digest_is_the_hash_of_the_manifest_and_changes_with_any_file(bundle: Path, make_bundle: MakeBundle) -> None:
    assert bundle_digest(bundle) == hashlib.sha256((bundle / "bundle.json").read_bytes()).hexdigest()
    assert bundle_digest(make_bundle()) == bundle_digest(bundle)
    assert bundle_digest(make_bundle(weight=2.5)) != bundle_digest(bundle)


def test_writing_again_replaces_the_manifest_and_leaves_nothing_else(bundle: Path, toy_manifest: MakeManifest) -> None:
    (bundle / ".bundle.json.tmp").write_text("left by a process that was killed")
    (bundle / "more.txt").write_text("more")
    written = write_bundle(bundle, toy_manifest(labels=("a", "b")))
    assert read_manifest(bundle) == written
    assert sorted(written.files) == ["more.txt", "notes/weight.txt", "params.npz"]
    assert written.labels == ("a", "b")


def test_one_flipped_bit_is_found(bundle: Path) -> None:
    content = bytearray((bundle / "params.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "params.npz").write_bytes(content)
    with pytest.raises(BundleError, match=r"params\.npz: expected sha256 [0-9a-f]{64}, found [0-9a-f]{64}"):
        read_manifest(bundle)


def test_a_missing_file_is_named(bundle: Path) -> None:
    (bundle / "notes" / "weight.txt").unlink()
    with pytest.raises(BundleError, match=r"weight\.txt: named in bundle\.json, but missing"):
        read_manifest(bundle)


def test_a_file_that_nobody_named_is_refused(bundle: Path) -> None:
    (bundle / "notes" / "extra.bin").write_bytes(b"")
    with pytest.raises(BundleError, match=r"extra\.bin: not named in bundle\.json"):
        read_manifest(bundle)


@pytest.mark.parametrize("target", ["params.npz", "notes"])
def test_links_are_refused_even_to_the_same_content(
    bundle: Path, tmp_path: Path, toy_manifest: MakeManifest, target: str
) -> None:
    (bundle / target).rename(tmp_path / "outside")
    (bundle / target).symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match=f"{target}: expected a plain file, found a symbolic link"):
        read_manifest(bundle)
    with pytest.raises(BundleError, match="symbolic link"):
        write_bundle(bundle, toy_manifest())


def test_a_linked_manifest_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "bundle.json").rename(tmp_path / "bundle.json")
    (bundle / "bundle.json").symlink_to(tmp_path / "bundle.json")
    with pytest.raises(BundleError, match="found no such file"):
        read_manifest(bundle)


def test_special_files_are_refused_without_being_opened(bundle: Path) -> None:
    os.mkfifo(bundle / "pipe")
    with pytest.raises(BundleError, match="found a special file"):
        read_manifest(bundle)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "a//b", "./a", "a/", "", ".", "a\\b", "C:x", "a\nb", "..", "a/.."]
)
def test_paths_that_leave_the_folder_are_refused(bundle: Path, name: str) -> None:
    with pytest.raises(BundleError, match="plain relative path"):
        check_relative(name)
    edit_manifest(bundle, files={name: "0" * 64})
    with pytest.raises(BundleError, match="plain relative path"):
        parse_manifest(bundle)


def test_the_project_must_be_the_expected_one(bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"expected a bundle of 'housing', found 'toy'"):
        read_manifest(bundle, project="housing")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "expected format_version 1, found 2"),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"created": "2026-01-02T03:04:05"}, "created: Input should have timezone info"),
        ({"metrics": {"error": {"estimate": None}}}, r"metrics\.error\.estimate"),
        ({"files": {"params.npz": "abc"}}, r"files\.params\.npz"),
    ],
)
def test_a_malformed_manifest_says_where(bundle: Path, changes: dict[str, object], message: str) -> None:
    edit_manifest(bundle, **changes)
    with pytest.raises(BundleError, match=message):
        read_manifest(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_is_no_json_object_is_refused(bundle: Path, text: str) -> None:
    (bundle / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=r"bundle\.json: "):
        read_manifest(bundle)


def test_a_folder_without_manifest_or_files_is_refused(tmp_path: Path, toy_manifest: MakeManifest) -> None:
    with pytest.raises(BundleError, match="found no such file"):
        read_manifest(tmp_path)
    with pytest.raises(BundleError, match="found no such file"):
        bundle_digest(tmp_path)
    with pytest.raises(BundleError, match="holds no files"):
        write_bundle(tmp_path, toy_manifest())
    with pytest.raises(BundleError, match="is no folder"):
        write_bundle(tmp_path / "missing", toy_manifest())


def test_numbers_that_json_lacks_are_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(ValidationError, match="finite"):
        MetricValue(estimate=float("nan"))
    with pytest.raises(ValidationError, match="finite"):
        make_bundle(config={"rate": float("inf")})


def test_a_manifest_cannot_be_changed(bundle: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(read_manifest(bundle), "project", "other")  # noqa: B010 (mypy knows that it is read-only)


def test_metrics_have_the_bounds_of_their_intervals_where_they_have_one() -> None:
    assert metric_values({"error": Interval(0.5, 0.25, 0.75), "share": 0.4}) == {
        "error": MetricValue(estimate=0.5, low=0.25, high=0.75),
        "share": MetricValue(estimate=0.4),
    }


@dataclass(frozen=True)
class Weight:
    value: float

    def predict(self, inputs: Any) -> list[float]:
        return [self.value * number for number in inputs]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weight.txt").write_text(str(self.value), encoding="utf-8")


def load_weight(folder: Path) -> Weight:
    return Weight(float((folder / "weight.txt").read_text(encoding="utf-8")))


def replace(folder: Path, manifest: Manifest, weight: float, *, load: Callable[[Path], Weight] = load_weight) -> None:
    replace_bundle(folder, manifest, Weight(weight), load=load, inputs=[3.0])


def test_an_older_bundle_is_replaced_whole(tmp_path: Path, toy_manifest: MakeManifest) -> None:
    folder = tmp_path / "models" / "bundle"
    replace(folder, toy_manifest(), 2.0)
    (folder / "left-over.npz").write_bytes(b"of another model")
    replace(folder, toy_manifest(), 4.0)
    assert list(read_manifest(folder).files) == ["weight.txt"]
    assert load_weight(folder).value == 4.0


def test_an_empty_folder_becomes_a_bundle(tmp_path: Path, toy_manifest: MakeManifest) -> None:
    replace(tmp_path, toy_manifest(), 2.0)
    assert load_weight(tmp_path).value == 2.0


@pytest.mark.parametrize("place", ["folder", "file"])
def test_what_is_no_bundle_is_not_deleted(tmp_path: Path, toy_manifest: MakeManifest, place: str) -> None:
    """A mistyped path must not cost a person their files."""
    thesis = tmp_path / "documents" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("three years", encoding="utf-8")
    with pytest.raises((ValueError, OSError), match="documents"):
        replace({"folder": thesis.parent, "file": thesis}[place], toy_manifest(), 2.0)
    assert thesis.read_text(encoding="utf-8") == "three years"


def test_what_reads_back_as_something_else_is_not_left_in_silence(tmp_path: Path, toy_manifest: MakeManifest) -> None:
    with pytest.raises(
        RuntimeError, match=r"the saved model predicts \[15\.0\], the fitted one \[6\.0\]: do not use it"
    ):
        replace(tmp_path / "bundle", toy_manifest(), 2.0, load=lambda folder: Weight(5.0))
