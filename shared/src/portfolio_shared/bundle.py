"""The model folder: what training writes, the registry stores and a service reads.

A bundle is a folder of parameter files plus `bundle.json`, which says where the model comes from and carries the
SHA-256 of every other file. The hash of `bundle.json` therefore stands for the whole folder, and a signature of that
hash, in `bundle.sig` where there is one, for who made it.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue, StringConstraints, ValidationError

from portfolio_shared.data.download import file_sha256
from portfolio_shared.operations.watch import write_reference

if TYPE_CHECKING:  # it needs NumPy, which a service loads after it has set the number of its threads
    from portfolio_shared.evaluation.uncertainty import Interval
    from portfolio_shared.operations.watch import Columns
    from portfolio_shared.results import Predictor

MANIFEST_NAME = "bundle.json"
SIGNATURE_NAME = "bundle.sig"
FORMAT_VERSION = 1
# A manifest is read before anything about it is known, so its size is bounded.
MAX_MANIFEST_BYTES = 2 * 1024 * 1024
MAX_FILES, MAX_NAME = 1000, 200

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class BundleError(RuntimeError):
    """A bundle that cannot be trusted or read; the message names the file, what was expected and what was found."""


class _Record(BaseModel):
    # NaN and infinity are not JSON: a metric that is one is a bug upstream and must not be stored.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSummary(_Record):
    """Which data a model was trained on."""

    source: Literal["sample", "full", "path"]
    name: str
    sha256: Sha256
    rows: dict[str, int]
    refitted: bool = False  # after its evaluation, on all rows: the metrics are of the model before


class DataInfo(DataSummary):
    """Which data a model was trained and tested on."""

    test_split_sha256: Sha256


class MetricValue(_Record):
    """A metric on the test split, with the bounds of its interval where one was computed."""

    estimate: float
    low: float | None = None
    high: float | None = None


class Manifest(_Record):
    """The contents of `bundle.json`; `files` is filled in by `write_bundle`."""

    format_version: int = FORMAT_VERSION
    project: str
    created: AwareDatetime
    git_commit: str
    data: DataInfo
    config: dict[str, JsonValue]
    metrics: dict[str, MetricValue]
    baselines: dict[str, dict[str, MetricValue]]
    input_schema: dict[str, JsonValue]
    labels: tuple[str, ...] = ()
    input_statistics: dict[str, JsonValue] = {}  # of bundles from before there was a reference
    files: dict[str, Sha256] = {}


def metric_values(metrics: "Mapping[str, Interval | float]") -> dict[str, MetricValue]:
    """Return metrics in the manifest's form: with the bounds of their intervals, where they have one."""
    return {
        name: MetricValue(estimate=value) if isinstance(value, float) else MetricValue(**value._asdict())
        for name, value in metrics.items()
    }


def replace_bundle(
    directory: Path,
    manifest: Manifest,
    fitted: "Predictor",
    *,
    load: "Callable[[Path], Predictor]",
    inputs: Sequence[object],
    reference: "Columns",
) -> None:
    """Replace a bundle's folder, and check that what is read back predicts what was evaluated.

    Parameters
    ----------
    directory
        A bundle that is replaced whole, an empty folder, or none.
    manifest
        Everything but the hashes.
    load
        Folder -> what `fitted.save` wrote into it.
    inputs
        Of predictions to compare before and after.
    reference
        Training inputs as columns to watch; see `write_reference`.

    Raises
    ------
    ValueError
        If the folder holds something that is no bundle: a mistyped path must not cost a person their files.
    RuntimeError
        If what was saved does not predict as what was fitted.
    """
    if directory.exists():
        if any(directory.iterdir()) and not (directory / MANIFEST_NAME).is_file():
            raise ValueError(f"{directory} holds something that is no bundle: choose an empty or a new folder")
        shutil.rmtree(directory)
    fitted.save(directory)
    write_reference(directory, reference)
    write_bundle(directory, manifest)
    read_manifest(directory, project=manifest.project)
    before, after = fitted.predict(inputs), load(directory).predict(inputs)
    if before != after:
        raise RuntimeError(f"the saved model predicts {after}, the fitted one {before}: do not use it")


def write_bundle(directory: Path, manifest: Manifest) -> None:
    """Hash every file that is already in `directory` and write `bundle.json` last, with their hashes in `files`.

    Raises
    ------
    BundleError
        If the folder is empty, or holds a link or a special file.
    """
    temporary = directory / f".{MANIFEST_NAME}.tmp"
    temporary.unlink(missing_ok=True)  # left by a process that was killed here
    files = {name: file_sha256(directory / name) for name in _list_files(directory)}
    if not files:
        raise BundleError(f"{directory} holds no files: save the model's parameters before writing {MANIFEST_NAME}")
    complete = manifest.model_copy(update={"files": files})
    text = json.dumps(complete.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(directory / MANIFEST_NAME)


def read_manifest(directory: Path, *, project: str | None = None) -> Manifest:
    """Read `bundle.json` and verify that the folder holds exactly the files it names, unchanged.

    Raises
    ------
    BundleError
        If the manifest is missing or malformed, belongs to another project (where one is given) or format version,
        names a path outside the folder, or if a file is missing, unexpected, a link, or has another hash.
    """
    manifest = parse_manifest(directory, project=project)
    present = set(_list_files(directory))
    if missing := sorted(set(manifest.files) - present):
        raise BundleError(f"{directory / missing[0]}: named in {MANIFEST_NAME}, but missing ({len(missing)} in all)")
    if extra := sorted(present - set(manifest.files)):
        raise BundleError(f"{directory / extra[0]}: not named in {MANIFEST_NAME} ({len(extra)} in all)")
    for name, expected in manifest.files.items():
        if (actual := file_sha256(directory / name)) != expected:
            raise BundleError(f"{directory / name}: expected sha256 {expected}, found {actual}")
    return manifest


def parse_manifest(directory: Path, *, project: str | None = None) -> Manifest:
    """Read `bundle.json` without looking at the other files; raises `BundleError` as `read_manifest` does."""
    path = _manifest_path(directory)
    if (size := path.stat().st_size) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{path}: expected at most {MAX_MANIFEST_BYTES} bytes, found {size}")
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))[:80] or "the document"
        raise BundleError(
            f"{path}: {where}: {first['msg']}, found {str(first['input'])[:80]!r} ({error.error_count()} problems)"
        ) from error
    if manifest.format_version != FORMAT_VERSION:
        raise BundleError(
            f"{path}: expected format_version {FORMAT_VERSION}, found {manifest.format_version}: train again"
        )
    if project is not None and manifest.project != project:
        raise BundleError(f"{path}: expected a bundle of {project!r}, found {manifest.project!r}")
    if len(manifest.files) > MAX_FILES:
        raise BundleError(f"{path} names {len(manifest.files)} files, expected at most {MAX_FILES}")
    for name in manifest.files:
        check_relative(name)
    return manifest


def bundle_digest(directory: Path) -> str:
    """Return the SHA-256 of `bundle.json`, which stands for the whole folder; it verifies nothing."""
    return file_sha256(_manifest_path(directory))


def check_relative(name: str) -> PurePosixPath:
    """Return `name` as a path if it stays inside the folder it is joined to, else raise `BundleError`.

    Examples
    --------
    >>> str(check_relative("trees/price.txt"))
    'trees/price.txt'
    >>> check_relative("../price.txt")
    Traceback (most recent call last):
    portfolio_shared.bundle.BundleError: '../price.txt': expected a plain relative path inside the bundle
    """
    path = PurePosixPath(name)
    # Compared with its own normal form, so that "a//b", "./a", "a/" and "" are refused as well.
    unsafe = path.is_absolute() or ".." in path.parts or not path.parts or str(path) != name
    if unsafe or "\\" in name or ":" in name or not name.isprintable() or len(name) > MAX_NAME:
        raise BundleError(f"{name[:MAX_NAME]!r}: expected a plain relative path inside the bundle")
    return path


def _manifest_path(directory: Path) -> Path:
    path = directory / MANIFEST_NAME
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{path}: expected a bundle's manifest, found no such file")
    return path


def _list_files(directory: Path) -> list[str]:
    """Relative posix paths of the files of a bundle, sorted, without manifest and signature; links are refused."""

    def fail(error: OSError) -> None:  # a folder that cannot be listed may hold anything
        raise error

    names = set()
    for folder, folders, files in os.walk(directory, onerror=fail):
        for path in (Path(folder, name) for name in (*folders, *files)):
            if path.is_symlink():
                raise BundleError(f"{path}: expected a plain file, found a symbolic link")
            if path.is_file():
                names.add(str(check_relative(path.relative_to(directory).as_posix())))
            elif not path.is_dir():
                raise BundleError(f"{path}: expected a plain file, found a special file")
    return sorted(names - {MANIFEST_NAME, SIGNATURE_NAME})
