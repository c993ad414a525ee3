"""What an MLflow server answers is followed when it is right and contained when it is wrong."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faulty_registry import faulty_registry, null_tags, proxys_404
from portfolio_shared import bundle as bundle_module
from portfolio_shared.bundle import BundleError, bundle_digest, read_manifest
from portfolio_shared.proxies import open_client
from portfolio_shared.serving import registry_client
from portfolio_shared.serving.registry_client import (
    BundleMissingError,
    RegisteredVersion,
    RegistryClient,
    RegistryUnavailable,
    verify_bundle,
)

ALIAS = "/api/2.0/mlflow/registered-models/alias"
DOWNLOAD_URI = "/api/2.0/mlflow/model-versions/get-download-uri"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/1/models/m-3/artifacts/artifacts/bundle"


def champion(registry):
    with RegistryClient(registry.uri) as client:
        version = client.alias("toy", "champion")
    assert version is not None
    return version


def download(registry, into):
    with RegistryClient(registry.uri) as client:
        client.download_bundle(champion(registry), into)


def test_alias_gives_the_version_and_its_digest(fake_registry, bundle):
    fake_registry.publish("3", bundle)
    assert champion(fake_registry) == RegisteredVersion("toy", "3", "run-3", bundle_digest(bundle))


def test_a_model_or_alias_that_does_not_exist_is_none(fake_registry, bundle):
    fake_registry.publish("3", bundle)
    with RegistryClient(fake_registry.uri) as client:
        assert client.alias("nothing", "champion") is None
        assert client.alias("toy", "challenger") is None


@pytest.mark.parametrize("query", ["", "?token=s3cret", "/?token=s3cret"])
def test_an_address_may_hold_a_user_and_a_token(fake_registry, bundle, query):
    fake_registry.publish("3", bundle)
    with RegistryClient(f"{fake_registry.uri.replace('//', '//me:s3cret@')}{query}") as client:
        version = client.alias("toy", "champion")
        assert version is not None
        assert version.version == "3"
        assert ("token=s3cret" in str(client._http.build_request("GET", "/x", params={"name": "toy"}).url)) == bool(
            query
        )


def test_threads_that_ask_at_once_share_one_connection_and_it_is_closed(fake_registry, bundle, monkeypatch):
    fake_registry.publish("3", bundle)
    made = []

    def slow(*args, **options):
        time.sleep(0.05)
        made.append(open_client(*args, **options))
        return made[-1]

    monkeypatch.setattr(registry_client, "open_client", slow)
    with RegistryClient(fake_registry.uri) as client, ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(client.alias, ["toy"] * 4, ["champion"] * 4))) == 4
    assert [one.is_closed for one in made] == [True]


def test_download_is_the_bundle_and_nothing_else(fake_registry, bundle, tmp_path):
    fake_registry.publish("3", bundle)
    (bundle / "unnamed.bin").write_bytes(b"beside the bundle in the store")
    download(fake_registry, tmp_path / "into")
    assert read_manifest(tmp_path / "into") == verify_bundle(tmp_path / "into", champion(fake_registry))
    assert (tmp_path / "into" / "notes" / "weight.txt").read_bytes() == b"2.0\n"
    assert sorted(fake_registry.downloads) == ["3/bundle.json", "3/notes/weight.txt", "3/params.npz"]


def test_a_server_that_is_away_is_reported_soon(unused_uri):
    start = time.monotonic()
    with RegistryClient(unused_uri) as client, pytest.raises(RegistryUnavailable, match=f"no answer from {unused_uri}"):
        client.alias("toy", "champion")
    assert time.monotonic() - start < 5.0  # the bound that a caller relies on, not a measurement


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>some other service</html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b"[" * 100_000),
        (200, b"{" + b" " * (2 * 1024 * 1024) + b"}"),
        (200, b'{"model_version": {"name": "other", "version": "1"}}'),
        (200, b'{"model_version": {"name": "toy", "version": "../../1"}}'),
        (200, b'{"model_version": {"name": "toy", "version": "\xc2\xb2"}}'),
        (302, b"http://127.0.0.1:1/elsewhere"),
        (404, b'{"message": "route not found"}'),
        (404, b'{"error_code": 404, "message": "Registered Model not found"}'),
        (503, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}'),
        (400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "not found"}'),
        (200, b'{"model_version": {"name": "toy", "version": "' + 5000 * b"1" + b'"}}'),
        (403, b"Invalid Host header"),
        (500, b'{"error_code": "INTERNAL_ERROR", "message": "database is locked"}'),
    ],
)
def test_answers_that_make_no_sense_are_no_version(fake_registry, status, body):
    fake_registry.overrides[ALIAS] = (status, body)
    with RegistryClient(fake_registry.uri) as client, pytest.raises(RegistryUnavailable, match="http://127"):
        client.alias("toy", "champion")


@pytest.mark.parametrize("start", [b"", b"x" * 190, b'{"message": "' + b"x" * 170])
@pytest.mark.parametrize("status", [200, 302, 500])
def test_an_address_in_an_answer_shows_no_password(fake_registry, start, status):
    fake_registry.overrides[ALIAS] = (status, start + b" http://me:s3cret@127.0.0.1:1/elsewhere" + b'"}')
    with RegistryClient(fake_registry.uri) as client, pytest.raises(RegistryUnavailable) as caught:
        client.alias("toy", "champion")
    assert "s3c" not in str(caught.value)


# What no training has written, in every place of the answer.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["toy", "3", "bundle_sha256"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["key", "value", "a"]) | st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(ANYTHING | st.fixed_dictionaries({"name": st.just("toy"), "version": st.just("3"), "tags": ANYTHING}))
def test_whatever_json_describes_a_version_is_one_or_is_refused(answer):
    client = RegistryClient("http://127.0.0.1:9")
    with pytest.raises((RegistryUnavailable, BundleError)):
        client._parse_version("toy", answer)


@pytest.mark.parametrize(("fault", "error"), [(null_tags, BundleError), (proxys_404, RegistryUnavailable)])
def test_what_is_no_word_of_a_registry_is_no_missing_model(fault, error, bundle):
    with faulty_registry("toy", "3", bundle, fault) as registry, pytest.raises(error):
        champion(registry)


@pytest.mark.parametrize("answer", [(404, b'{"message": "route not found"}'), (302, b"http://127.0.0.1:1/elsewhere")])
def test_only_mlflow_says_that_a_file_is_missing(fake_registry, bundle, tmp_path, answer):
    fake_registry.publish("3", bundle)
    fake_registry.overrides[f"{ARTIFACTS}/params.npz"] = answer
    with pytest.raises(RegistryUnavailable, match=f"answered {answer[0]}"):
        download(fake_registry, tmp_path / "into")


def test_a_version_without_digest_is_refused(fake_registry):
    body = {"model_version": {"name": "toy", "version": "3", "tags": []}}
    fake_registry.overrides[ALIAS] = (200, json.dumps(body).encode())
    with pytest.raises(BundleError, match="no tag bundle_sha256"):
        champion(fake_registry)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc",
        "s3://bucket/models",
        "mlflow-artifacts://elsewhere/1/models",
        "mlflow-artifacts:/../secrets",
        "mlflow-artifacts:/1/../../secrets",
        "mlflow-artifacts:/",
        "mlflow-artifacts://[",
        "",
    ],
)
def test_artifacts_are_taken_from_the_server_only(fake_registry, bundle, tmp_path, uri):
    fake_registry.publish("3", bundle)
    fake_registry.overrides[DOWNLOAD_URI] = (200, json.dumps({"artifact_uri": uri}).encode())
    with pytest.raises(BundleError, match=r"mlflow-artifacts|plain relative path"):
        download(fake_registry, tmp_path / "into")
    assert fake_registry.downloads == []


@pytest.mark.parametrize("name", ["../escaped.txt", "/escaped.txt", "notes/../../escaped.txt", "..\\escaped.txt"])
def test_names_that_leave_the_folder_are_refused_before_anything_is_written(fake_registry, bundle, tmp_path, name):
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["files"] = {name: "0" * 64} | manifest["files"]
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    fake_registry.publish("3", bundle)  # even the digest is right
    with pytest.raises(BundleError, match="plain relative path"):
        download(fake_registry, tmp_path / "into")
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["bundle.json"]
    assert fake_registry.downloads == ["3/bundle.json"]


def test_a_manifest_that_was_not_registered_stops_the_download(fake_registry, bundle, make_bundle, tmp_path):
    fake_registry.publish("3", bundle)
    fake_registry.versions["3"] = make_bundle(weight=9.0)  # complete and consistent, but another one
    with pytest.raises(BundleError, match="as registered for toy version 3"):
        download(fake_registry, tmp_path / "into")
    assert fake_registry.downloads == ["3/bundle.json"]


def test_one_flipped_bit_in_the_store_is_found(fake_registry, bundle, tmp_path):
    fake_registry.publish("3", bundle)
    content = bytearray((bundle / "params.npz").read_bytes())
    content[-1] ^= 1
    (bundle / "params.npz").write_bytes(content)
    with pytest.raises(BundleError, match=r"params\.npz: expected sha256"):
        download(fake_registry, tmp_path / "into")


def test_a_file_that_is_missing_in_the_store_is_named(fake_registry, bundle, tmp_path):
    fake_registry.publish("3", bundle)
    (bundle / "params.npz").unlink()
    with pytest.raises(BundleMissingError, match=r"params\.npz: missing in the artifact store"):
        download(fake_registry, tmp_path / "into")


@pytest.mark.parametrize("path", [f"{ARTIFACTS}/bundle.json", f"{ARTIFACTS}/params.npz"])
def test_a_store_in_trouble_is_worth_asking_again(fake_registry, bundle, tmp_path, path):
    fake_registry.publish("3", bundle)
    fake_registry.overrides[path] = (500, b"disk error")
    with pytest.raises(RegistryUnavailable, match="answered 500"):
        download(fake_registry, tmp_path / "into")


def test_a_version_that_was_deleted_in_between_is_worth_asking_again(fake_registry, bundle, tmp_path):
    fake_registry.publish("3", bundle)
    fake_registry.overrides[DOWNLOAD_URI] = (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}')
    with pytest.raises(RegistryUnavailable, match="toy version 3 is gone"):
        download(fake_registry, tmp_path / "into")


@pytest.mark.parametrize(
    ("limit", "value", "error"),
    [
        ("MAX_MANIFEST_BYTES", 100, BundleError),
        ("MAX_BUNDLE_BYTES", 100, BundleError),
        ("MAX_FILES", 1, BundleError),
        ("MAX_DOWNLOAD_SECONDS", 0.0, RegistryUnavailable),
        ("MAX_ANSWER_SECONDS", 0.0, RegistryUnavailable),
    ],
)
def test_size_and_time_are_bounded(fake_registry, bundle, tmp_path, monkeypatch, *, limit, value, error):
    fake_registry.publish("3", bundle)
    version = champion(fake_registry)
    monkeypatch.setattr(bundle_module if limit == "MAX_FILES" else registry_client, limit, value)
    with RegistryClient(fake_registry.uri) as client, pytest.raises(error):
        client.download_bundle(version, tmp_path / "into")
