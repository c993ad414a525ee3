import json
import socket
import time

import pytest

from portfolio_shared.addresses import hold, is_here, shown, without_secrets

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


@pytest.mark.parametrize(
    ("address", "as_printed"),
    [
        ("http://127.0.0.1:5500/mlflow", "http://127.0.0.1:5500/mlflow"),
        ('http://me:s3cr"et@127.0.0.1:9/x?token=s3cret#s3cret', "http://***@127.0.0.1:9/x"),
        ("http://me:top s3cret@[::1]:9", "http://***@[::1]:9"),
        ("http://me:s3@cret@host", "http://***@host"),
        ("http://bob:2024/s3cret@host", "http://***"),
        ("http://bob:s3?cret@host", "http://***"),
        ("http://bob@host/x?token=s3@cret", "http://***"),
        ("http://me:s3cret", "http://me:***"),
        ("http://[::1]", "http://[::1]"),
        ("me:s3cret@host:9", "***@host:9"),
        ("sqlite:///a place/mlflow.db", "sqlite:///a place/mlflow.db"),
    ],
)
def test_an_address_of_ours_is_shown_by_its_parts(address, as_printed):
    assert shown(address) == as_printed
    assert shown(as_printed) == as_printed


AWKWARD = [
    'me:s3cr"et',
    "me:top s3cret",
    'me:it\'s "s3cret"',
    "bob:2024/s3cret",
    "me:s3@cret\\",
    "s3 cret",
    "me:\u00fc s3",
]


@pytest.mark.parametrize("user", AWKWARD)
def test_an_address_that_we_hold_is_hidden_in_any_text_whatever_its_password_holds(user):
    hold(f"http://{user}@held.example.org:9/")
    for text in (f"http://{user}@held.example.org:9", f"asked http://{user}@held.example.org:9/api/2.0"):
        for told in (text, repr(text), json.dumps(text), repr({"uri": text})):
            hidden = without_secrets(f"{told}, about toy@champion")
            assert "s3" not in hidden
            assert hidden.endswith(", about toy@champion")


@pytest.mark.parametrize("text", ["no address", "http://plain.example.org", "some text, http://h and a@b"])
def test_what_is_no_address_with_a_user_is_not_held(text):
    hold(text)
    assert without_secrets(f"see {text}: a@b") == f"see {text}: a@b"


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


@pytest.mark.parametrize("piece", ["a:b,", "://a:", "://", "a:b "])
def test_a_text_of_many_beginnings_is_no_work(piece):
    began = time.process_time()
    without_secrets(piece * 50_000 + " @")
    assert time.process_time() - began < 2.0  # unbounded, it took half a minute
