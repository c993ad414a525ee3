"""A client for the five requests that services make of MLflow: importing mlflow costs seconds and 100s of megabytes.

It asks which version to serve and downloads its bundle. What the server answers is not trusted: every answer is bounded
in size and time, and a bundle counts only after its digest, its list of files and every hash agree with the tag that
training set on the version.
"""

import json
import time
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
from portfolio_shared.proxies import NetworkSettingsError, answered_by, describe_failure, open_client

# Where MLflow puts the artifact named "bundle" inside the folder of a pyfunc model.
BUNDLE_PATH = PurePosixPath("artifacts/bundle")
DIGEST_TAG = "bundle_sha256"
MAX_ANSWER_BYTES = 1024 * 1024
MAX_ANSWER_SECONDS = 30.0
MAX_BUNDLE_BYTES = 4 * 1024**3
MAX_BUNDLE_FILES = 1000
MAX_DOWNLOAD_SECONDS = 600.0


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


def champion_of(name: str, tracking_uri: str) -> RegisteredVersion | None:
    """Return the version that serves, or None; raises as `RegistryClient.alias` does."""
    with RegistryClient(tracking_uri) as registry:
        return registry.alias(name, "champion")


def verify_bundle(directory: Path, version: RegisteredVersion) -> Manifest:
    """Check that `directory` holds exactly the bundle that was registered as `version`, or raise `BundleError`."""
    _check_digest(directory, version)
    return read_manifest(directory)


class RegistryClient:
    """A client of one MLflow server, such as ``http://127.0.0.1:5500``; it may be used from several threads."""

    def __init__(self, tracking_uri: str) -> None:
        self._address = tracking_uri.rstrip("/")
        self._uri = shown(self._address)  # as messages name it
        self._client: httpx.Client | None = None
        self._opening = Lock()

    @property
    def _http(self) -> httpx.Client:
        with self._opening:
            try:
                self._client = self._client or open_client(self._address, timeout=httpx.Timeout(10.0, connect=3.0))
            except NetworkSettingsError as error:
                raise RegistryUnavailable(f"{self._uri} cannot be asked: {error}") from error
            return self._client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
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
            # MLflow answers 404 for a model and 400 for an alias that does not exist.
            if answer.get("error_code") == "RESOURCE_DOES_NOT_EXIST" or "not found" in str(answer.get("message")):
                return None
            raise RegistryUnavailable(f"{self._uri} answered {status} about {name}@{alias}: {_excerpt(answer)}")
        return self._parse_version(name, answer.get("model_version"))

    def version(self, name: str, number: str) -> RegisteredVersion:
        """Return a version by its number; raises as `alias` does, and `BundleError` if there is none."""
        status, answer = self._get_json("model-versions/get", {"name": name, "version": number})
        if answer.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
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
        files = parse_manifest(into).files
        if len(files) > MAX_BUNDLE_FILES:
            raise BundleError(f"{MANIFEST_NAME} names {len(files)} files, expected at most {MAX_BUNDLE_FILES}")
        left = MAX_BUNDLE_BYTES
        for name in files:
            target = into / check_relative(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            left -= self._download(root / name, target, left, deadline)
        return verify_bundle(into, version)

    def _parse_version(self, name: str, answer: Any) -> RegisteredVersion:
        fields = answer if isinstance(answer, dict) else {}
        number = str(fields.get("version", ""))
        # The number becomes the name of a folder, so nothing but digits may pass.
        if fields.get("name") != name or not (number.isascii() and number.isdigit()):
            raise RegistryUnavailable(f"{self._uri} answered with no version of {name!r}: {_excerpt(answer)}")
        tags = {tag.get("key"): tag.get("value") for tag in fields.get("tags", []) if isinstance(tag, dict)}
        if not isinstance(digest := tags.get(DIGEST_TAG), str):
            raise BundleError(f"{name} version {number} has no tag {DIGEST_TAG}: it was not registered by a training")
        run_id, source, data = fields.get("run_id", ""), tags.get("data_source", ""), tags.get("data_sha256", "")
        return RegisteredVersion(name, number, str(run_id), digest, str(source), str(data))

    def _artifact_root(self, version: RegisteredVersion) -> PurePosixPath:
        query = {"name": version.name, "version": version.version}
        status, answer = self._get_json("model-versions/get-download-uri", query)
        if status == httpx.codes.NOT_FOUND:
            raise RegistryUnavailable(f"{version.name} version {version.version} is gone from {self._uri}")
        uri = answer.get("artifact_uri")
        if status != httpx.codes.OK or not isinstance(uri, str):
            raise RegistryUnavailable(f"{self._uri} answered {status} about artifacts: {_excerpt(answer)}")
        parts = urlsplit(uri)
        if parts.scheme != "mlflow-artifacts" or parts.netloc:
            raise BundleMissingError(
                f"artifacts at {uri!r}, expected mlflow-artifacts:/: start MLflow with --serve-artifacts"
            )
        return check_relative(parts.path.strip("/"))

    def _get_json(self, endpoint: str, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        deadline = time.monotonic() + MAX_ANSWER_SECONDS
        body = b""
        try:
            with self._http.stream("GET", f"/api/2.0/mlflow/{endpoint}", params=query) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES or time.monotonic() > deadline:
                        limits = f"{MAX_ANSWER_BYTES} bytes and {MAX_ANSWER_SECONDS:g} s"
                        raise RegistryUnavailable(f"an answer of {self._uri} exceeds the limits of {limits}")
            answer = json.loads(body)
        except httpx.HTTPError as error:
            raise RegistryUnavailable(
                f"no answer from {self._uri}: {describe_failure(self._address, error)}"
            ) from error
        except (ValueError, RecursionError) as error:
            text = body[:200].decode(errors="replace")
            who = answered_by(self._address, response.status_code, text)
            raise RegistryUnavailable(
                f"{who} answered {response.status_code} {text!r}, expected the JSON of an MLflow server"
            ) from error
        if not isinstance(answer, dict):
            raise RegistryUnavailable(f"{self._uri} answered {_excerpt(answer)}, expected a JSON object")
        return response.status_code, answer

    def _download(self, source: PurePosixPath, target: Path, limit: int, deadline: float) -> int:
        """Write one artifact to `target` and return its size in bytes."""
        path = "/".join(quote(part, safe="") for part in source.parts)
        written = 0
        try:
            with self._http.stream("GET", f"/api/2.0/mlflow-artifacts/artifacts/{path}") as response:
                if response.status_code == httpx.codes.NOT_FOUND:
                    raise BundleMissingError(f"{source}: missing in the artifact store of {self._uri}")
                if response.status_code != httpx.codes.OK:
                    who = answered_by(self._address, response.status_code, "")
                    raise RegistryUnavailable(f"{who} answered {response.status_code} for {source}")
                with target.open("xb") as stream:
                    for chunk in response.iter_bytes():
                        written += stream.write(chunk)
                        if written > limit:
                            raise BundleError(f"{source}: larger than the {limit} bytes that are allowed")
                        if time.monotonic() > deadline:
                            raise RegistryUnavailable(f"{source}: not there after {MAX_DOWNLOAD_SECONDS:g} s")
        except httpx.HTTPError as error:
            failure = describe_failure(self._address, error)
            raise RegistryUnavailable(f"{self._uri} broke off {source}: {failure}") from error
        return written


def _check_digest(directory: Path, version: RegisteredVersion) -> None:
    if (digest := bundle_digest(directory)) != version.bundle_sha256:
        raise BundleError(
            f"{directory / MANIFEST_NAME}: expected sha256 {version.bundle_sha256} "
            f"as registered for {version.name} version {version.version}, found {digest}"
        )


def _excerpt(answer: object) -> str:
    return without_secrets(repr(answer))[:200]
