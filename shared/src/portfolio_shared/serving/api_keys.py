"""API keys: several, each with a name, kept as hashes in a variable or a file, and revoked by deleting a line.

A key is 32 random bytes, which nobody guesses however fast the hash is: SHA-256 is enough. A password, which a person
chooses, would need a slow one such as Argon2, and each request a slow check.
"""

import hashlib
import hmac
import logging
import re
import secrets
import time
from pathlib import Path

from portfolio_shared.serving.settings import ServiceSettings

KEY_BYTES = 32
LONGEST_KEY = 200  # characters; what is longer is no key, and not hashed
LOOK_SECONDS = 1.0  # how often the file may have changed

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_ENTRY = re.compile(rf"({_NAME}):([0-9a-fA-F]{{64}})")

_log = logging.getLogger(__name__)


class KeysError(RuntimeError):
    """Keys that cannot be used as they are; it never says what stands in their place, which may be a key."""


def new_key(name: str) -> tuple[str, str]:
    """Make a key.

    Parameters
    ----------
    name
        Whose it is: what log lines say.

    Returns
    -------
    tuple of str
        The key, which only its owner keeps, and the entry for the service: ``name:sha256``.

    Raises
    ------
    ValueError
        If the name is none that fits into an entry.
    """
    if not re.fullmatch(_NAME, name):
        raise ValueError(f"expected a name of at most 64 letters, digits, dots, dashes and underscores, found {name!r}")
    key = secrets.token_urlsafe(KEY_BYTES)
    return key, f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"


def entries_of(text: str) -> tuple[list[tuple[str, bytes]], list[int]]:
    r"""Return names with digests, and the numbers of the lines that are no entries.

    Entries stand in lines, or between commas in one; what follows ``#`` is a comment. Two keys may have one name.

    >>> entries_of("# staff\nann:12\n")
    ([], [2])
    """
    entries, wrong = [], []
    for number, line in enumerate(text.splitlines(), 1):
        for part in filter(None, (part.strip() for part in line.partition("#")[0].split(","))):
            if found := _ENTRY.fullmatch(part):
                entries.append((found[1], bytes.fromhex(found[2])))
            else:
                wrong.append(number)
    return entries, wrong


class ApiKeys:
    """The keys of one service.

    A file is read again when it changes. A line of it that is no entry lets nobody in, and a file that is gone none of
    its keys; both are errors in the log. At the start either ends the service.

    Raises
    ------
    KeysError
        If an entry is malformed, or the file cannot be read or names no key.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        prefix = settings.model_config["env_prefix"]
        self._fixed, wrong = entries_of(settings.api_keys.get_secret_value())
        if wrong:
            raise KeysError(f"{prefix}API_KEYS: expected NAME:SHA256 entries, which `key NAME` makes")
        self._file = settings.api_key_file
        self._keys = self._fixed
        self._stamp: tuple[int, ...] | None = None
        self._problem = ""
        self._next_look = 0.0
        if self._file is not None and (problem := self._read(self._file)):
            raise KeysError(f"{prefix}API_KEY_FILE: {problem}")
        self.asked = bool(self._keys) or self._file is not None

    def name_of(self, key: bytes) -> str | None:
        """Return whose a key is, or None; the time that takes does not tell how much of it is right."""
        if self._file is not None and time.monotonic() >= self._next_look:
            self._look(self._file)
        if len(key) > LONGEST_KEY:
            return None
        digest, name = hashlib.sha256(key).digest(), None
        for owner, expected in self._keys:
            if hmac.compare_digest(digest, expected):
                name = owner
        return name

    def _look(self, file: Path) -> None:
        self._next_look = time.monotonic() + LOOK_SECONDS
        if _stamp(file) == self._stamp:
            return
        before, self._problem = self._problem, self._read(file)
        if self._stamp is None and self._problem == before:
            return  # it still cannot be read, which the log has
        if self._problem:
            _log.error("keys: %s", self._problem)
        _log.warning("keys: %s has changed: there are %d now", file.name, len(self._keys))

    def _read(self, file: Path) -> str:
        """Take the keys of the file; return what is wrong with it, or nothing."""
        self._stamp = _stamp(file)  # before it is read: a change in between is seen at the next look
        try:
            found, wrong = entries_of(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            self._keys, self._stamp = self._fixed, None  # so that it is read again at the next look
            return f"{file} cannot be read, and none of its keys is valid: {type(error).__name__}"
        self._keys = self._fixed + found
        if wrong:
            return f"{file}, line {wrong[0]}: expected NAME:SHA256, which `key NAME` makes"
        return "" if self._keys else f"{file} has no key: `key NAME` makes one"


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
