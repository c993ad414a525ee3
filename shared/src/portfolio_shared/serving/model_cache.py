"""The folder of downloaded bundles: one subfolder per version, and a note which of them served last.

Several replicas may share the folder: whoever changes or reads it holds its lock, and a bundle appears in its place by
a rename, complete or not at all.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from portfolio_shared.bundle import BundleError
from portfolio_shared.serving.registry_client import RegisteredVersion, verify_bundle

KEPT_VERSIONS = 3
_LAST_GOOD = "last_good.json"
_UNFINISHED = ".unfinished-"
# Longer than another replica may take for a download.
_LOCK_SECONDS = 900.0


class ModelCache:
    """The cache of one model at ``<root>/<name>``; nothing is created before it is needed."""

    def __init__(self, root: Path, name: str) -> None:
        self._folder = root / name
        if self._folder.parent != root or name in {"", ".", ".."}:
            raise ValueError(f"{name!r} cannot be the name of a folder: choose a model name without path separators")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the other replicas out of the folder; raises `TimeoutError` if one holds it for a quarter hour."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / ".lock", timeout=_LOCK_SECONDS):
            yield

    def obtain(self, version: RegisteredVersion, download: Callable[[RegisteredVersion, Path], object]) -> Path:
        """Return the folder of a verified version, after `download` has put it there if it is not there already."""
        target = self._folder / version.version
        if target.exists():
            try:
                verify_bundle(target, version)
            except BundleError:
                shutil.rmtree(target)  # damaged, or of another registry that counted its versions from 1 as well
            else:
                return target
        # What a killed process left: whoever holds the lock is the only one who downloads.
        for leftover in self._folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(leftover)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._folder))
        try:
            download(version, unfinished / "bundle")
            (unfinished / "bundle").replace(target)
        finally:
            shutil.rmtree(unfinished)
        return target

    def last_good(self) -> tuple[RegisteredVersion, Path] | None:
        """Return the version that served last and its verified folder, or None if none ever did.

        Raises
        ------
        BundleError
            If the note or the folder is damaged.
        """
        note = self._folder / _LAST_GOOD
        if not note.is_file():
            return None
        try:
            version = RegisteredVersion(**json.loads(note.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise BundleError(f"{note}: expected the name, version, run id and digest of a bundle: {error}") from error
        folder = self._folder / str(version.version)
        if not folder.name.isdigit() or folder.parent != self._folder:
            raise BundleError(f"{note}: expected the number of a version, found {version.version!r}")
        verify_bundle(folder, version)
        return version, folder

    def record_good(self, version: RegisteredVersion) -> None:
        """Note that `version` serves, and keep only the newest versions beside it."""
        unfinished = self._folder / f"{_LAST_GOOD}.tmp"
        unfinished.write_text(json.dumps(asdict(version), indent=2) + "\n", encoding="utf-8")
        unfinished.replace(self._folder / _LAST_GOOD)
        versions = sorted((path for path in self._folder.iterdir() if path.name.isdigit()), key=lambda p: int(p.name))
        for old in versions[:-KEPT_VERSIONS]:
            if old.name != version.version:
                shutil.rmtree(old)
