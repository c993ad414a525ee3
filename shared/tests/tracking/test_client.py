"""What is asked of a tracking server before a training, and under which environment MLflow's own code runs."""

import os

import pytest

from portfolio_shared.addresses import without_secrets
from portfolio_shared.tracking.client import TrackingUnavailable, check_server, quiet_mlflow, tracking_client

FAR = "http://user:s3cret@mlflow.example.org:5500"
PROXIES = ["http://127.0.0.1:9", "socks5://127.0.0.1:9"]
VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in (*VARIABLES, "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def refusal(uri):
    with pytest.raises(TrackingUnavailable) as refused:
        check_server(uri)
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("proxy", PROXIES)
def test_mlflows_own_client_asks_a_server_of_this_machine_directly(monkeypatch, mlflow_server, proxy):
    for name in VARIABLES:
        monkeypatch.setenv(name, proxy)
    before = dict(os.environ)
    for uri in (mlflow_server, mlflow_server.replace("127.0.0.1", "localhost")):
        with tracking_client(uri) as client:
            assert client.search_experiments()
    assert dict(os.environ) == before


def test_a_server_elsewhere_is_asked_through_the_proxy(monkeypatch, unused_uri):
    monkeypatch.setenv("HTTP_PROXY", unused_uri)
    assert f"asked through the proxy {unused_uri} of HTTP_PROXY" in refusal(FAR)


@pytest.mark.parametrize("package", ["socksio", "PySocks"])
def test_both_packages_that_socks_needs_are_asked_for_before_a_training(monkeypatch, package):
    module = {"socksio": "socksio", "PySocks": "socks"}[package]
    monkeypatch.setattr("portfolio_shared.proxies.find_spec", lambda name: None if name == module else "there")
    monkeypatch.setenv("ALL_PROXY", "socks5://u:s3cret@127.0.0.1:9")
    assert f"pip install {package}`" in refusal(FAR)


def test_a_page_that_is_no_answer_of_mlflow_is_not_taken_for_one(fake_registry):
    fake_registry.overrides["/api/2.0/mlflow/experiments/search"] = (200, b"<html>please log in</html>")
    assert "answered 200 '<html>please log in</html>', which is no MLflow server" in refusal(fake_registry.uri)


@pytest.mark.parametrize(
    "uri",
    [
        *("file:///somewhere", "user:s3cret@host:1", "http://host:x"),
        *("http://user:s3c#ret@host:1", "http://bob:2024/s3cret@127.0.0.1:9", "http://127.0.0.1:9/x?token=s3c@ret"),
        *('http://me:s3cr"et@127.0.0.1:9', "http://me:top s3cret@127.0.0.1:9", "http://me:it's \"s3cret@127.0.0.1:9"),
    ],
)
def test_what_is_no_address_of_a_server_is_one_line(uri):
    assert "s3c" not in refusal(uri)
    assert "s3c" not in without_secrets(f"MlflowException: API request to {uri}/api/2.0/mlflow failed")


def test_what_was_set_is_kept_and_set_again(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    before = dict(os.environ)
    with quiet_mlflow("http://mlflow.localhost:1"):
        assert os.environ["NO_PROXY"].split(",")[0] == "example.org"
        assert "mlflow.localhost" in os.environ["no_proxy"].split(",")
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert dict(os.environ) == before
