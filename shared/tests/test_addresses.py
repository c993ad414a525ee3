import json
import socket

import pytest

from portfolio_shared.addresses import is_here, without_secrets

HIDDEN = [
    ("http://user:s3cret@127.0.0.1:9", "http://***@127.0.0.1:9"),
    ("https://s3cret@host/path", "https://***@host/path"),
    ("postgresql://mlflow:s3cret@db:5432/mlflow", "postgresql://***@db:5432/mlflow"),
    ("mysql+pymysql://u:s3cret@h/d and socks5h://u:s3cret@p:1", "mysql+pymysql://***@h/d and socks5h://***@p:1"),
    ("http://user:s3c@ret@host:1/x", "http://***@host:1/x"),
    ("http://user:s3/cr?e#t@host:1/x", "http://***@host:1/x"),
    ("http://user:12345s3cret@host", "http://***@host"),
    ("http://user:123@host", "http://***@host"),
    ("http://:s3cret@host", "http://***@host"),
    ("http://user:it's3cret@host", "http://***@host"),
    ("MLFLOW_TRACKING_URI=user:s3cret@host:9", "MLFLOW_TRACKING_URI=***@host:9"),
    ("found 'user:s3cret@host'", "found '***@host'"),
    ("url: /api/search?max_results=1&token=s3cret", "url: /api/search?max_results=1&token=***"),
    ("https://h/x?X-Amz-Signature=s3cret&sig=s3cret#access_token=s3cret", "https://h/x?X-Amz-Signature=***&sig=***#access_token=***"),
    ("https://h/x?apiKey=s3cret', then", "https://h/x?apiKey=***', then"),
]  # fmt: skip
KEPT = [
    "http://127.0.0.1:5500/api/name@champion",
    "http://127.0.0.1:5500 answered about housing@champion",
    "models:/housing@champion",
    "write to somebody@example.org: they know",
    "https://host/x?max_results=1&page=2",
    json.dumps({"data": "folder/a@b", "other": "x@y"}, separators=(",", ":")),
]


@pytest.mark.parametrize(("text", "shown"), HIDDEN)
def test_users_passwords_and_tokens_of_addresses_are_hidden(text, shown):
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


@pytest.mark.parametrize("text", KEPT)
def test_everything_else_is_kept(text):
    assert without_secrets(text) == text


def test_what_is_hidden_leaves_json_readable():
    text = json.dumps({"uri": "http://user:s3cret@host", "more": "a@b"}, separators=(",", ":"))
    assert json.loads(without_secrets(text)) == {"uri": "http://***@host", "more": "a@b"}


@pytest.mark.parametrize("host", ["LOCALHOST", "localhost.", "mlflow.localhost", "127.1.2.3", "[::1]", "::"])
def test_names_and_addresses_of_the_loopback_are_here(host):
    assert is_here(host)


def test_the_name_of_this_machine_is_here():
    assert is_here(socket.gethostname())


@pytest.mark.parametrize(
    "host", ["example.org", "localhost.example.org", "192.0.2.1", "2001:db8::1", "", "127.0.0.1.nip.io"]
)
def test_other_hosts_are_elsewhere(host):
    assert not is_here(host)
