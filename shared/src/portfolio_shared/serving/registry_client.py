"""A client for the five requests that services make of MLflow: importing mlflow costs seconds and 100s of megabytes.

It asks which version to serve and downloads its bundle. What the server answers is not trusted: every answer is bounded
in size and time, headers included, no redirect is followed, and a bundle counts only after its digest, its list of
files and every hash agree with the tag that training set on the version.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from portfolio_shared.addresses import shown, without_secrets
from portfolio_shared.bundle import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    BundleError,
    Manifest,
    bundle_digest,
    check_relative,
    parse_manifest,
    read_manifest,
)
from portfolio_shared.deadlines import Deadline
from portfolio_shared.proxies import (
    NetworkSettingsError,
    answered_by,
    describe_failure,
    mlflow_credentials,
    open_client,
)

# Where MLflow puts the artifact named "bundle" inside the folder of a pyfunc model.
BUNDLE_PATH = PurePosixPath("artifacts/bundle")
DIGEST_TAG, SIGNATURE_TAG = "bundle_sha256", "bundle_signature"
MAX_ANSWER_BYTES = 1024 * 1024
MAX_ANSWER_SECONDS = 10.0
MAX_TEXT = 5000  # characters of a tag, a limit of MLflow
MAX_BUNDLE_BYTES = 1024**3
MAX_DOWNLOAD_SECONDS = 600.0
# What is packed may unpack to a thousand times its size, before anybody can count.
_AS_IT_IS = {"Accept-Encoding": "identity"}
_EXCERPT = 2000  # of what the server said, of which less is shown: the end of what is secret must be there
_VERSION, _DIGEST = re.compile(r"[0-9]{1,18}"), re.compile(r"[0-9a-f]{64}")


class RegistryUnavailable(RuntimeError):  # noqa: N818 (a state of the world, not a mistake)
    """The registry does not answer, or not as an MLflow server does; asking again later may help."""


class BundleMissingError(BundleError):
    """The registry knows the version and gives out no files of it: it is not damaged, it may come back."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model, and the SHA-256 its `bundle.json` must have."""

    name: str
    version: str
    run_id: str
    bundle_sha256: str
    data_source: str = ""  # sample, full or path; empty if the version has no such tag
    data_sha256: str = ""  # of what it learned from; empty likewise
    signature: str = ""  # of the digest; empty likewise


def champion_of(name: str, tracking_uri: str) -> RegisteredVersion | None:
    """Return the version that serves, or None; raises as `RegistryClient.alias` does."""
    with RegistryClient(tracking_uri) as registry:
        return registry.alias(name, "champion")


def verify_bundle(directory: Path, version: RegisteredVersion, *, project: str | None = None) -> Manifest:
    """Check that `directory` holds exactly the bundle that was registered as `version`, or raise `BundleError`."""
    _check_digest(directory, version)
    return read_manifest(directory, project=project)


class RegistryClient:
    """A client of one MLflow server, such as ``http://127.0.0.1:5500``; it may be used from several threads."""

    def __init__(self, tracking_uri: str) -> None:
        self._address = tracking_uri.rstrip("/")
        self._uri = shown(self._address)  # as messages name it
        self._client: httpx.Client | None = None
        self._opening = Lock()
        self._running: set[Deadline] = set()
        self._closed = False

    @property
    def _http(self) -> httpx.Client:
        with self._opening:
            try:
                timeout, auth = httpx.Timeout(10.0, connect=3.0), mlflow_credentials()
                self._client = self._client or open_client(self._address, timeout=timeout, auth=auth)
            except NetworkSettingsError as error:
                raise RegistryUnavailable(f"{self._uri} cannot be asked: {error}") from error
            return self._client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up what other threads ask and download at the moment, and ask nothing more."""
        with self._opening:
            self._closed = True
            for each in self._running:
                each.cut()
            if self._client is not None and not self._running:  # one that asks closes its connection itself
                self._client.close()

    def alias(self, name: str, alias: str) -> RegisteredVersion | None:
        """Return the version that an alias points to, or None if the model or the alias does not exist.

        Raises
        ------
        RegistryUnavailable
            If the server does not answer, or not as expected.
        BundleError
            If the version has no tag with the digest of a bundle, so that nothing can be verified.
        """
        status, answer = self._get_json("registered-models/alias", {"name": name, "alias": alias})
        if status != httpx.codes.OK:
            if _is_missing(status, answer) or _lacks_alias(status, answer, alias):
                return None
            raise RegistryUnavailable(f"{self._uri} answered {status} about {name}@{alias}: {_excerpt(answer)}")
        return self._parse_version(name, answer.get("model_version"))

    def version(self, name: str, number: str) -> RegisteredVersion:
        """Return a version by its number; raises as `alias` does, and `BundleError` if there is none."""
        status, answer = self._get_json("model-versions/get", {"name": name, "version": number})
        if _is_missing(status, answer):
            raise BundleError(f"{self._uri} has no version {number} of {name!r}")
        if status != httpx.codes.OK:
            raise RegistryUnavailable(f"{self._uri} answered {status} about {name} {number}: {_excerpt(answer)}")
        return self._parse_version(name, answer.get("model_version"))

    def download_bundle(self, version: RegisteredVersion, into: Path) -> Manifest:
        """Download the bundle of a version into a new folder, verify it, and return its manifest.

        Only the files that the manifest names are asked for, and the manifest only counts if it has the registered
        digest: nothing that the artifact store adds to a listing can get into the folder. After an error the folder
        may hold a part of the bundle; it is the caller's to remove.

        Raises
        ------
        RegistryUnavailable
            If the server does not answer, is too slow, or breaks off.
        BundleMissingError
            If it has not all of the files, or gives none out.
        BundleError
            If a file is too large, or does not have its hash.
        FileExistsError
            If there is such a folder already.
        """
        deadline = time.monotonic() + MAX_DOWNLOAD_SECONDS
        root = self._artifact_root(version) / BUNDLE_PATH
        into.mkdir(parents=True)
        self._download(root / MANIFEST_NAME, into / MANIFEST_NAME, MAX_MANIFEST_BYTES, deadline)
        _check_digest(into, version)
        left = MAX_BUNDLE_BYTES
        for name in parse_manifest(into).files:
            target = into / check_relative(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            left -= self._download(root / name, target, left, deadline)
        return verify_bundle(into, version)

    def _parse_version(self, name: str, answer: Any) -> RegisteredVersion:
        fields = answer if isinstance(answer, dict) else {}
        number = str(fields.get("version", ""))
        # The number becomes the name of a folder, so nothing but digits may pass.
        if fields.get("name") != name or not _VERSION.fullmatch(number):
            raise RegistryUnavailable(f"{self._uri} answered with no version of {name!r}: {_excerpt(answer)}")
        listed = fields.get("tags")
        tags = [tag for tag in listed if isinstance(tag, dict)] if isinstance(listed, list) else []
        texts = {_text(tag.get("key")): _text(tag.get("value")) for tag in tags}
        if not _DIGEST.fullmatch(digest := texts.get(DIGEST_TAG, "")):
            raise BundleError(f"{name} version {number} has no tag {DIGEST_TAG}: it was not registered by a training")
        source, data, signature = (texts.get(key, "") for key in ("data_source", "data_sha256", SIGNATURE_TAG))
        return RegisteredVersion(name, number, _text(fields.get("run_id")), digest, source, data, signature)

    def _artifact_root(self, version: RegisteredVersion) -> PurePosixPath:
        query = {"name": version.name, "version": version.version}
        status, answer = self._get_json("model-versions/get-download-uri", query)
        if _is_missing(status, answer):
            raise RegistryUnavailable(f"{version.name} version {version.version} is gone from {self._uri}")
        uri = answer.get("artifact_uri")
        if status != httpx.codes.OK or not isinstance(uri, str):
            raise RegistryUnavailable(f"{self._uri} answered {status} about artifacts: {_excerpt(answer)}")
        try:
            parts = urlsplit(uri)
        except ValueError as error:
            raise BundleMissingError(f"artifacts at {_excerpt(uri)}, expected mlflow-artifacts:/") from error
        if parts.scheme != "mlflow-artifacts" or parts.netloc:
            raise BundleMissingError(
                f"artifacts at {_excerpt(uri)}, expected mlflow-artifacts:/: start MLflow with --serve-artifacts"
            )
        return check_relative(parts.path.strip("/"))

    def _get_json(self, endpoint: str, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        with self._asked(f"/api/2.0/mlflow/{endpoint}", query, MAX_ANSWER_SECONDS) as response:
            body = self._read(response)
        return response.status_code, self._parse(response.status_code, body)

    def _read(self, response: httpx.Response) -> bytes:
        body = b""
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise RegistryUnavailable(f"an answer of {self._uri} exceeds the limit of {MAX_ANSWER_BYTES} bytes")
        return body

    def _parse(self, status: int, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            text = without_secrets(body[:_EXCERPT].decode(errors="replace"))[:200]
            said = f"{answered_by(self._address, status, text)} answered {status} {text!r}"
            raise RegistryUnavailable(f"{said}, expected the JSON of an MLflow server") from error
        if not isinstance(answer, dict):
            raise RegistryUnavailable(f"{self._uri} answered {_excerpt(answer)}, expected a JSON object")
        return answer

    def _download(self, source: PurePosixPath, target: Path, limit: int, deadline: float) -> int:
        """Write one artifact to `target` and return its size in bytes."""
        path = "/".join(quote(part, safe="") for part in source.parts)
        url, written = f"/api/2.0/mlflow-artifacts/artifacts/{path}", 0
        with self._asked(url, {}, deadline - time.monotonic()) as response:
            status = response.status_code
            if status == httpx.codes.NOT_FOUND and _is_missing(status, self._parse(status, self._read(response))):
                raise BundleMissingError(f"{source}: missing in the artifact store of {self._uri}")
            if status != httpx.codes.OK:
                raise RegistryUnavailable(f"{answered_by(self._address, status, '')} answered {status} for {source}")
            with target.open("xb") as stream:
                for chunk in response.iter_raw():
                    written += stream.write(chunk)
                    if written > limit:
                        raise BundleError(f"{source}: larger than the {limit} bytes that are allowed")
        return written

    @contextmanager
    def _asked(self, path: str, query: dict[str, str], seconds: float) -> Iterator[httpx.Response]:
        """Yield an answer whose body is still to be read; whatever goes wrong until the end is RegistryUnavailable."""
        client, deadline = self._http, Deadline(seconds)
        with self._opening:
            if self._closed:
                raise RegistryUnavailable(f"{self._uri} is not asked any more: this process ends")
            self._running.add(deadline)
        try:
            ask = client.stream("GET", path, params=query, headers=_AS_IT_IS, extensions=deadline.extensions)
            with deadline, ask as response:
                yield response
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if not deadline.passed:
                failure = describe_failure(self._address, error)
                raise RegistryUnavailable(f"no answer from {self._uri}: {failure}") from error
        finally:
            with self._opening:
                self._running.discard(deadline)
        if deadline.passed:  # an answer that was cut may look like one that has ended
            raise RegistryUnavailable(f"{self._uri} did not answer in time, and is cut off after {seconds:.3g} s")


def _is_missing(status: int, answer: dict[str, Any]) -> bool:
    """Return whether MLflow says that there is no such thing; a gateway's 404 says nothing of the registry."""
    return status == httpx.codes.NOT_FOUND and answer.get("error_code") == "RESOURCE_DOES_NOT_EXIST"


def _lacks_alias(status: int, answer: dict[str, Any], alias: str) -> bool:
    """Return whether MLflow says that the model has no such alias: with a code that it has for much else as well."""
    said = status, answer.get("error_code"), answer.get("message")
    return said == (httpx.codes.BAD_REQUEST, "INVALID_PARAMETER_VALUE", f"Registered model alias {alias} not found.")


def _check_digest(directory: Path, version: RegisteredVersion) -> None:
    if (digest := bundle_digest(directory)) != version.bundle_sha256:
        raise BundleError(
            f"{directory / MANIFEST_NAME}: expected sha256 {version.bundle_sha256} "
            f"as registered for {version.name} version {version.version}, found {digest}"
        )


def _text(value: object) -> str:
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def _excerpt(answer: object) -> str:
    return without_secrets(repr(answer)[:_EXCERPT])[:200]
