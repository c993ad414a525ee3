"""What goes through a proxy and what does not, against a proxy that writes down what it is asked for."""

import importlib.util
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import certifi
import httpx
import pytest

from portfolio_shared.proxies import (
    CERTIFICATES,
    NetworkSettingsError,
    answered_by,
    certificates,
    describe_failure,
    mlflow_credentials,
    no_proxy,
    open_client,
    proxy_for,
)
from portfolio_shared.serving.registry_client import RegistryClient, RegistryUnavailable
from portfolio_shared.tracking.client import TrackingUnavailable, check_server

FAR = "http://mlflow.example.org:5500"
NAMES = [f"{name}_PROXY" for name in ("HTTP", "HTTPS", "ALL", "NO")]


@dataclass
class RecordingProxy:
    """Answers everything itself, with this status."""

    address: str = ""
    status: int = 200
    asked: list[str] = field(default_factory=list)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in (*NAMES, *map(str.lower, NAMES), *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proxy() -> Iterator[RecordingProxy]:
    recording = RecordingProxy()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            recording.asked.append(f"{self.command} {self.path}")
            self.send_response(recording.status)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"<no>")

        do_CONNECT = do_GET  # noqa: N815 - the name that the server looks for

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        recording.address = f"http://user:s3cret@127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield recording
        server.shutdown()
        thread.join()


def get(url):
    with open_client(url, timeout=httpx.Timeout(5.0)) as client:
        return client.get("/health")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_far_server_is_asked_through_the_proxy_that_the_environment_names(monkeypatch, proxy, variable):
    monkeypatch.setenv(variable, proxy.address)
    assert get(FAR).status_code == 200
    assert proxy.asked == [f"GET {FAR}/health"]
    monkeypatch.setenv(variable, proxy.address.removeprefix("http://"))  # as curl and others read it
    assert get(FAR).status_code == 200


@pytest.mark.parametrize(
    ("user", "password", "address", "shown"),
    [
        ("ann", "s3cret", "http://127.0.0.1:5500", "ann:s3cret"),
        ("ann", "s3cret", "http://bob:other@127.0.0.1:5500", "bob:other"),  # an address knows better
        ("ann", "", "http://127.0.0.1:5500", None),
    ],
)
def test_mlflow_is_told_who_asks(monkeypatch, user, password, address, shown):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    asked = []
    answer = httpx.MockTransport(lambda request: asked.append(request) or httpx.Response(200))
    with open_client(address, timeout=httpx.Timeout(5.0), auth=mlflow_credentials()) as client:
        client._transport, client._mounts = answer, {}
        client.get("/health")
    told = asked[0].headers.get("authorization")
    assert told == (shown and f"Basic {b64encode(shown.encode()).decode()}")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("named", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "socks://x:1", "nonsense://"])
def test_this_machine_is_asked_directly_whatever_the_environment_says(monkeypatch, fake_registry, variable, named):
    monkeypatch.setenv(variable, named)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    fake_registry.overrides["/health"] = (200, b"{}")
    assert get(fake_registry.uri).status_code == 200
    assert get(fake_registry.uri.replace("127.0.0.1", "localhost")).status_code == 200


@pytest.mark.parametrize("exempt", ["mlflow.example.org", ".example.org", "a, example.org:5500", "*"])
def test_what_no_proxy_names_is_asked_directly(monkeypatch, exempt):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert proxy_for(FAR) is not None
    monkeypatch.setenv("NO_PROXY", exempt)
    assert proxy_for(FAR) is None


def test_no_proxy_may_name_networks(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "x,10.0.0.0/8")
    assert proxy_for("http://10.1.2.3:5500") is None
    assert proxy_for("http://11.1.2.3:5500") is not None


def test_other_programs_learn_what_is_here_and_what_was_exempt_before(monkeypatch):
    assert no_proxy()["NO_PROXY"] == no_proxy()["no_proxy"] == "localhost,127.0.0.0/8,127.0.0.1,::1"
    monkeypatch.setenv("NO_PROXY", "example.org,::1")
    assert no_proxy(FAR, "http://mlflow.localhost:1")["no_proxy"] == (
        "example.org,::1,localhost,127.0.0.0/8,127.0.0.1,mlflow.localhost"
    )


@pytest.mark.parametrize("everything", ["*", " * "])
def test_a_star_that_exempts_every_host_stays_one(monkeypatch, everything):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", everything)
    assert proxy_for(FAR) is None
    assert no_proxy(FAR) == {"no_proxy": "*", "NO_PROXY": "*"}
    monkeypatch.setenv("NO_PROXY", no_proxy()["NO_PROXY"])
    assert urllib.request.proxy_bypass("mlflow.example.org")


def test_requests_obeys_what_other_programs_learn(monkeypatch):
    requests = pytest.importorskip("requests")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    for name, value in no_proxy("http://mlflow.localhost:1").items():
        monkeypatch.setenv(name, value)
    for host in ("127.0.0.1", "127.9.9.9", "localhost", "mlflow.localhost"):
        assert requests.utils.get_environ_proxies(f"http://{host}:5500/x") == {}
    assert requests.utils.get_environ_proxies(FAR)


@pytest.mark.parametrize(
    ("named", "advice"),
    [
        ("socks5://u:s3cret@127.0.0.1:9", "pip install socksio"),
        ("socks5h://127.0.0.1:9", "or unset HTTP_PROXY"),
        ("socks://127.0.0.1:9", "expected a proxy http://"),
        ("gopher://127.0.0.1:9", "expected a proxy http://"),
        ("http://127.0.0.1:port", "cannot be used"),
        ("http://bob:2024/s3cret@127.0.0.1:9", "cannot be used"),
        ('socks://u:"s3cret@127.0.0.1:9', "expected a proxy http://"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_line(monkeypatch, named, advice):
    monkeypatch.setenv("HTTP_PROXY", named)
    monkeypatch.setattr("portfolio_shared.proxies.find_spec", lambda name: None)
    with pytest.raises(NetworkSettingsError) as refused:
        get(FAR)
    assert advice in str(refused.value)
    assert "HTTP_PROXY" in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(importlib.util.find_spec("socksio") is not None, reason="socksio is installed")
def test_the_package_that_socks_needs_is_missing_here(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(NetworkSettingsError, match="socksio"):
        get(FAR)


@pytest.mark.parametrize("status", [403, 407, 503])
def test_what_a_proxy_says_is_told_as_its_word(monkeypatch, proxy, status):
    monkeypatch.setenv("HTTP_PROXY", proxy.address)
    proxy.status = status
    answer = get(FAR)
    said = answered_by(FAR, answer.status_code, answer.text)
    assert said.startswith(
        f"the proxy http://***@{proxy.address.partition('@')[2]} of HTTP_PROXY, asked for {FAR} (let"
    )


def test_what_a_proxy_says_of_https_is_told_as_its_word(monkeypatch, proxy):
    far = "https://user:s3cret@mlflow.example.org"
    monkeypatch.setenv("HTTPS_PROXY", proxy.address)
    proxy.status = 403
    with pytest.raises(httpx.ProxyError) as refused:
        get(far)
    said = describe_failure(far, refused.value)
    assert proxy.asked == ["CONNECT mlflow.example.org:443"]
    assert said.startswith("the proxy http://***@")
    assert "refused: 403" in said
    assert "let mlflow.example.org through" in said


def test_what_mlflow_says_is_told_as_its_word(monkeypatch):
    assert answered_by("http://u:s3cret@far", 403, "<no>") == "http://***@far"
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    for text in ('{"error_code": "PERMISSION_DENIED"}', "Invalid Host header - possible DNS rebinding attack detected"):
        assert answered_by(FAR, 403, text) == f"{FAR}, through the proxy http://127.0.0.1:9 of HTTP_PROXY,"


def test_a_proxy_that_is_away_is_named(monkeypatch, unused_uri):
    monkeypatch.setenv("HTTP_PROXY", unused_uri)
    with pytest.raises(httpx.ConnectError) as failed:
        get(FAR)
    assert f"asked through the proxy {unused_uri} of HTTP_PROXY" in describe_failure(FAR, failed.value)
    assert "proxy" not in describe_failure(unused_uri, failed.value)


@pytest.mark.parametrize("variable", CERTIFICATES)
def test_certificates_that_are_not_there_are_named_where_they_are_needed(monkeypatch, tmp_path, variable):
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    for path, what in ((tmp_path / "absent.pem", "there is no such file"), (tmp_path / "empty.pem", "no certificates")):
        monkeypatch.setenv(variable, str(path))
        (tmp_path / "empty.pem").touch()
        if variable != "SSL_CERT_FILE" and path.exists():
            monkeypatch.delenv("SSL_CERT_FILE")  # which comes first
        with pytest.raises(NetworkSettingsError, match=f"{variable}={path}.*{what}.*unset it"):
            get("https://mlflow.example.org")


def test_certificates_come_from_the_file_that_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    assert certificates().cert_store_stats()["x509_ca"] > 1
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path))  # a folder without any comes first
    assert certificates().cert_store_stats()["x509_ca"] == 0


@pytest.mark.parametrize("address", ["http://user:s3c#ret@host:1", "http://user:s3c/ret@host", "http://host:port"])
def test_an_address_that_is_none_is_one_line_without_its_password(address):
    with pytest.raises(NetworkSettingsError) as refused:
        get(address)
    assert "s3c" not in str(refused.value)


def test_a_registry_behind_a_proxy_that_cannot_be_used_is_unavailable_and_one_here_is_not(monkeypatch, fake_registry):
    monkeypatch.setenv("ALL_PROXY", "socks4://u:s3cret@127.0.0.1:9")
    with RegistryClient(FAR) as far, RegistryClient(fake_registry.uri) as here:
        assert here.alias("toy", "champion") is None
        with pytest.raises(RegistryUnavailable, match=r"ALL_PROXY=socks4://\*\*\*@127.0.0.1:9: expected a proxy"):
            far.alias("toy", "champion")


def test_a_proxys_refusal_is_not_told_as_mlflows(monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy.address)
    proxy.status = 403
    with pytest.raises(TrackingUnavailable, match=r"^the proxy .* answered 403 '<no>'$"):
        check_server(FAR)
    with RegistryClient(FAR) as far, pytest.raises(RegistryUnavailable, match=r"^the proxy .* answered 403 '<no>'"):
        far.alias("toy", "champion")
