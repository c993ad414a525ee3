"""The model that serves: follows the registry's alias, swaps without a pause, and refuses what it cannot trust."""

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, Literal, TypeVar

from portfolio_shared.addresses import without_secrets
from portfolio_shared.bundle import BundleError, Manifest, bundle_digest
from portfolio_shared.bundle_size import check_size
from portfolio_shared.deadlines import in_background
from portfolio_shared.serving.model_cache import ModelCache
from portfolio_shared.serving.registry_client import (
    RegisteredVersion,
    RegistryClient,
    RegistryUnavailable,
    verify_bundle,
)
from portfolio_shared.serving.schemas import ModelName
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.signatures import check_signature, private_copy, public_keys, read_signature

P = TypeVar("P")
Origin = Literal["registry", "cache", "path"]
CHALLENGER = "challenger"
CACHE_AFTER_SECONDS = 0.8  # without a model, and without a word of the registry that ends in one
END_SECONDS = 1.0  # that a download which is given up gets to remove what it has written

logger = logging.getLogger(__name__)

_ADDRESS = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]*")
_AWAY = "the registry does not answer, or not as an MLflow server does; the log of this service says why"


class ModelNotReady(RuntimeError):  # noqa: N818 (a state of the service, not a mistake)
    """No model is loaded yet; the message says why."""


@dataclass(frozen=True)
class LoadedModel(Generic[P]):
    """A predictor and where it came from; a request takes it once and uses it to its end."""

    predictor: P
    manifest: Manifest
    name: str
    version: str
    run_id: str | None
    origin: Origin
    loaded_at: datetime

    @property
    def named(self) -> ModelName:
        """What a response says about who answered."""
        return ModelName(name=self.name, version=self.version)


class ModelHolder(Generic[P]):
    """Holds the model that serves and keeps it up to date.

    Parameters
    ----------
    settings
        Where the registry and the cache are, and which alias to follow; with `bundle` set, that folder is served and
        the registry ignored.
    project, load, smoke_test
        As in `create_service`.
    alias
        Another alias than that of the settings, of a model beside the one that serves: see `stand_beside`.

    Attributes
    ----------
    error
        Why the last look at the alias did not go well; None if it did. A client reads it as `in_public` has it.
    swaps, refused_bundles
        Models put into service, and bundles refused, since the start.

    Notes
    -----
    The rules, in the order of precedence:

    1. A model that serves is replaced only by one that was verified, loaded and smoke-tested.
    2. The alias is the truth about which one that is. A bundle that fails is refused and not tried again until the
       alias has pointed elsewhere.
    3. Without a model to keep, and with the registry away, too slow, or its champion refused, the last good bundle of
       the cache serves, until the registry has something better. An alias that does not exist is no reason for that,
       however late the registry says so.
    4. With a public key in the settings nothing serves that is not signed, wherever it comes from; see `signatures`.
    """

    def __init__(
        self,
        *,
        settings: ServiceSettings,
        project: str,
        load: Callable[[Path], P],
        smoke_test: Callable[[P], None],
        alias: str | None = None,
    ) -> None:
        self._settings = settings
        self._project = project
        self._load = load
        self._smoke_test = smoke_test
        self._client = RegistryClient(settings.tracking_uri)
        self._alias = alias or settings.model_alias
        self._beside = False
        self._cache = ModelCache(settings.model_cache, settings.model_name)
        if alias is not None:
            self.stand_beside()
        self._current: LoadedModel[P] | None = None
        self._identity: RegisteredVersion | None = None
        self._noted: RegisteredVersion | None = None  # which one the cache has as its last good one
        self._refused: tuple[RegisteredVersion, str] | None = None
        self._refreshing = threading.Lock()
        self._swapping = threading.RLock()  # the cache's model must not take the place of one that came meanwhile
        self._asking = False  # the registry, without a model: what the cache has may serve meanwhile
        self._keys = public_keys(settings.bundle_key)
        self.error: str | None = "the first look at the registry is still to come"
        self._public: str | None = self.error
        self.swaps = 0
        self.refused_bundles = 0

    def stand_beside(self) -> None:
        """Hold a challenger: in a cache of its own, never from there alone, and no longer than its alias is there."""
        self._beside = True
        self._cache = ModelCache(self._settings.model_cache / CHALLENGER, self._settings.model_name)

    def current(self) -> LoadedModel[P]:
        """Return the model that serves; raises `ModelNotReady` with the reason if there is none."""
        current = self._current
        if current is None:
            raise ModelNotReady(f"no model of {self._settings.model_name!r} is loaded: {self._public}")
        return current

    def refresh(self) -> bool:
        """Look once at the alias and follow it; return whether another model serves now.

        Blocks for as long as a download and a load take: call it in a thread. A failure is logged and kept in `error`,
        and the model that serves stays.
        """
        with self._refreshing:
            before, reason = self.swaps, None
            try:
                if self._settings.bundle is not None:
                    self._serve_path(self._settings.bundle)
                else:
                    reason = self._follow_alias()
            except (RegistryUnavailable, BundleError, OSError) as error:
                self._note(error)
            else:
                self._note(reason)
            return self._current is not None and self.swaps > before

    def close(self) -> None:
        """Look no more, and give up a look that goes on; waits a second for it, and not for a load that hangs."""
        self._client.close()
        if self._refreshing.acquire(timeout=END_SECONDS):
            self._refreshing.release()

    async def watch(self) -> None:
        """Refresh every `model_poll_seconds` until cancelled, each time in a thread that keeps no process alive."""
        while True:
            await asyncio.sleep(self._settings.model_poll_seconds)
            try:
                await in_background(self.refresh)
            except Exception:
                # A bug must not end the watch unnoticed: the service would never see a new version again.
                logger.exception("refreshing the model failed")

    def _serve_path(self, folder: Path) -> None:
        if self._current is None:
            digest, signature = bundle_digest(folder), read_signature(folder)
            version = RegisteredVersion(self._settings.model_name, digest[:12], "", digest, signature=signature)
            self._activate(version, folder, "path")

    def _follow_alias(self) -> str | None:
        """Return why the alias names nothing that may serve, or None."""
        name, alias, fresh = self._settings.model_name, self._alias, self._current is None
        meanwhile = threading.Timer(CACHE_AFTER_SECONDS, self._serve_meanwhile)
        meanwhile.daemon = True
        if fresh and not self._beside:
            self._asking = True
            meanwhile.start()
        try:
            version = self._client.alias(name, alias)
            if version is not None:
                return self._serve_version(version)
        except (RegistryUnavailable, BundleError, OSError) as error:
            if not self._beside:
                self._serve_last_good(error)
            raise
        finally:
            meanwhile.cancel()
            with self._swapping:  # a timer that has run out ends first, or comes too late
                self._asking = False
        self._refused = None
        if fresh or self._beside:
            self._current = self._identity = None
        return f"{name!r} has no version with the alias {alias!r}: train and promote one"

    def _serve_meanwhile(self) -> None:
        """Serve the last good bundle while the registry is still asked; called by another thread than `refresh`."""
        late = RegistryUnavailable(
            f"the registry has given no model within {CACHE_AFTER_SECONDS:g} s; it is still asked"
        )
        with self._swapping:
            if self._current is not None or not self._asking:
                return
            try:
                self._serve_last_good(late)
            except BundleError as error:
                self._note(error)
            else:
                self._note(late)

    def _serve_version(self, version: RegisteredVersion) -> str | None:
        if self._refused is not None and self._refused[0] == version:
            return self._refused[1]
        self._refused = None
        if not version == self._identity == self._noted:
            self._swap_to(version)
        if self._current is not None and self._current.origin == "cache":  # the registry confirms it
            self._current = replace(self._current, origin="registry")
        return None

    def _swap_to(self, version: RegisteredVersion) -> None:
        try:
            self._check_signed(version.bundle_sha256, version.signature)  # first: nothing else is downloaded
            with self._cache.locked():
                folder = self._cache.obtain(version, self._client.download_bundle)
                if self._identity != version:  # else it serves, and could not be noted
                    self._activate(version, folder, "registry")
                self._cache.record_good(version)
            self._noted = version
        except BundleError as error:
            self.refused_bundles += 1
            reason = f"version {version.version} is refused until the alias has pointed elsewhere: {error}"
            self._refused = (version, reason)
            raise BundleError(reason) from error

    def _serve_last_good(self, reason: Exception) -> None:
        """Serve the last good bundle, if there is one and nothing serves yet."""
        with self._swapping:
            if self._current is not None:
                return
            try:
                if (good := self._cache.last_good()) is not None:
                    self._activate(*good, "cache")
                    self._noted = good[0]
            except (BundleError, OSError) as error:
                raise BundleError(f"{in_public(reason)}; and of the last good bundle: {error}") from error

    def _check_signed(self, digest: str, signature: str) -> None:
        if self._keys:
            check_signature(digest, signature, self._keys)

    def _activate(self, version: RegisteredVersion, folder: Path, origin: Origin) -> None:
        self._check_signed(version.bundle_sha256, version.signature)
        with private_copy(folder) if self._keys else nullcontext(folder) as held:
            manifest = verify_bundle(held, version, project=self._project)
            try:
                check_size(held, manifest, megabytes=self._settings.model_megabytes)
                predictor = self._load(held)
                self._smoke_test(predictor)
            except BundleError:
                raise
            except Exception as error:
                # A project's code may raise anything; whatever it is, the bundle cannot serve.
                raise BundleError(f"{held} does not start: {type(error).__name__}: {error}") from error
        name, number, run_id = self._settings.model_name, version.version, version.run_id or None
        with self._swapping:
            self._current = LoadedModel(predictor, manifest, name, number, run_id, origin, datetime.now(UTC))
            self._identity = version
            self.swaps += 1
        logger.info("serving %s version %s from %s", name, number, origin)

    def _note(self, error: Exception | str | None) -> None:
        # Once per change, not once per poll: a registry that is away for a night is one line.
        text = None if error is None else str(error)
        if text is not None and text != self.error:
            # Of a bundle that does not start, the project's traceback is what its author needs.
            trace = error if isinstance(error, BundleError) else None
            logger.warning("model %s: %s", self._settings.model_name, text, exc_info=trace)
        self.error, self._public = text, None if error is None else in_public(error)


def in_public(error: Exception | str) -> str:
    """Say what is wrong in words for anybody: nothing that another server said, and no address."""
    return _AWAY if isinstance(error, RegistryUnavailable) else _ADDRESS.sub("an address", without_secrets(str(error)))
