"""The folder of downloaded bundles: one subfolder per version, and a note which of them served last.

Several replicas may share the folder: whoever changes it holds its lock, and a bundle appears in its place by a rename,
complete or not at all. So a service can start from it without the lock: while another replica holds that, or where the
folder can only be read.
"""

import json
import re
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
_NOTE_BYTES = 65_536
_NUMBER = re.compile(r"[0-9]{1,18}")


class ModelCache:
    """The cache of one model at ``<root>/<name>``; nothing is created before it is needed."""

    def __init__(self, root: Path, name: str) -> None:
        self._folder = root / name
        self._unlocked: OSError | None = None
        if self._folder.parent != root or name in {"", ".", ".."}:
            raise ValueError(f"{name!r} cannot be the name of a folder: choose a model name without path separators")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the other replicas out of the folder; raises `TimeoutError` if one holds it for a quarter hour.

        Where the lock cannot be opened nothing is written in the block: what would write raises why.
        """
        lock = FileLock(self._folder / ".lock", timeout=_LOCK_SECONDS)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            self._unlocked = None
        except TimeoutError:
            raise
        except OSError as error:
            self._unlocked = error
        try:
            yield
        finally:
            lock.release()

    def _require_lock(self) -> None:
        if self._unlocked is not None:
            raise OSError(f"the cache {self._folder} cannot be written: {self._unlocked}") from self._unlocked

    def obtain(self, version: RegisteredVersion, download: Callable[[RegisteredVersion, Path], object]) -> Path:
        """Return the folder of a verified version, after `download` has put it there if it is not there already."""
        target = self._folder / version.version
        if target.exists():
            try:
                verify_bundle(target, version)
            except BundleError:
                self._require_lock()
                shutil.rmtree(target)  # damaged, or of another registry that counted its versions from 1 as well
            else:
                return target
        self._require_lock()
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
        version = _parse_note(note)
        folder = self._folder / version.version
        if not _NUMBER.fullmatch(version.version):
            raise BundleError(f"{note}: expected the number of a version, found {version.version[:80]!r}")
        verify_bundle(folder, version)
        return version, folder

    def record_good(self, version: RegisteredVersion) -> None:
        """Note that `version` serves, and keep only the newest versions beside it."""
        note, unfinished = self._folder / _LAST_GOOD, self._folder / f"{_LAST_GOOD}.tmp"
        if not _says(note, version):
            self._require_lock()
            unfinished.write_text(json.dumps(asdict(version), indent=2) + "\n", encoding="utf-8")
            unfinished.replace(note)
        folders = (path for path in self._folder.iterdir() if path.is_dir() and _NUMBER.fullmatch(path.name))
        for old in sorted(folders, key=_number)[:-KEPT_VERSIONS]:
            if old.name != version.version and self._unlocked is None:
                shutil.rmtree(old)


def _says(note: Path, version: RegisteredVersion) -> bool:
    try:
        return note.is_file() and _parse_note(note) == version
    except BundleError:
        return False


def _number(folder: Path) -> int:
    return int(folder.name)


def _parse_note(note: Path) -> RegisteredVersion:
    if (size := note.stat().st_size) > _NOTE_BYTES:
        raise BundleError(f"{note}: expected at most {_NOTE_BYTES} bytes, found {size}: remove it")
    try:
        version = RegisteredVersion(**json.loads(note.read_bytes()))
    except (ValueError, TypeError, RecursionError) as error:
        raise BundleError(f"{note}: expected the name, version, run id and digest of a bundle: {error}") from error
    if wrong := [name for name, value in asdict(version).items() if not isinstance(value, str)]:
        raise BundleError(f"{note}: {wrong[0]}: expected text")
    return version
