import errno
import hashlib
import logging
import os
from pathlib import Path

import pytest
from demo_service import DemoSettings, eventually

from portfolio_shared.serving import api_keys
from portfolio_shared.serving.api_keys import LONGEST_KEY, ApiKeys, KeysError, new_key


def rewrite(file: Path, text: str) -> None:
    """Change a file as an editor does; its time may be that of before where the clock is coarse."""
    before = file.stat().st_mtime_ns
    file.write_text(text, encoding="utf-8")
    os.utime(file, ns=(before + 1, before + 1))


def test_new_key_is_long_new_each_time_and_known_by_its_hash_alone():
    (key, entry), (other, _) = new_key("ann"), new_key("ann")
    assert key != other
    assert len(key) == 43  # 32 bytes in base64
    assert entry == f"ann:{hashlib.sha256(key.encode()).hexdigest()}"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "-a", "a" * 65, "ä", "a\nb"])
def test_name_that_does_not_fit_into_a_line_is_refused(name):
    with pytest.raises(ValueError, match="expected a name of at most 64"):
        new_key(name)


def test_keys_of_the_variable_and_of_the_file_are_known_by_name(tmp_path):
    (ann, first), (bob, second), (cid, third) = new_key("ann"), new_key("bob"), new_key("cid")
    file = tmp_path / "keys"
    file.write_text(f"# who may ask\n\n{third}  # until May\n")
    keys = ApiKeys(DemoSettings(api_keys=f"{first}, {second}", api_key_file=file))
    assert [keys.name_of(key.encode()) for key in (ann, bob, cid)] == ["ann", "bob", "cid"]
    assert [keys.name_of(key) for key in (b"", b"ann", ann[:-1].encode(), first.encode())] == [None] * 4


def test_key_that_is_too_long_to_be_one_is_not_hashed():
    key = "k" * (LONGEST_KEY + 1)
    keys = ApiKeys(DemoSettings(api_keys=f"ann:{hashlib.sha256(key.encode()).hexdigest()}"))
    assert keys.name_of(key.encode()) is None


def test_every_key_is_compared_whole_whichever_is_right(monkeypatch):
    made = [new_key(name) for name in ("ann", "bob", "cid")]
    keys = ApiKeys(DemoSettings(api_keys=",".join(entry for _, entry in made)))
    compared = []
    real = api_keys.hmac.compare_digest
    monkeypatch.setattr(api_keys.hmac, "compare_digest", lambda a, b: compared.append(b) or real(a, b))
    for key in (made[0][0], made[2][0], "wrong"):
        compared.clear()
        keys.name_of(key.encode())
        assert len(compared) == 3


def test_key_is_revoked_and_added_while_the_service_runs(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(api_keys, "LOOK_SECONDS", 0.0)
    (ann, first), (bob, second) = new_key("ann"), new_key("bob")
    file = tmp_path / "keys"
    file.write_text(first)
    keys = ApiKeys(DemoSettings(api_key_file=file))
    assert keys.name_of(ann.encode()) == "ann"
    with caplog.at_level(logging.WARNING):
        rewrite(file, second)
        assert (keys.name_of(ann.encode()), keys.name_of(bob.encode())) == (None, "bob")
        keys.name_of(bob.encode())
    assert [record.getMessage() for record in caplog.records] == ["keys: keys has changed: there are 1 now"]


def test_file_that_changes_is_looked_at_once_a_second(tmp_path):
    (ann, first), file = new_key("ann"), tmp_path / "keys"
    file.write_text(first)
    keys = ApiKeys(DemoSettings(api_key_file=file))
    keys.name_of(b"")
    rewrite(file, "# nobody\n")
    assert keys.name_of(ann.encode()) == "ann"
    keys._next_look -= api_keys.LOOK_SECONDS
    assert keys.name_of(ann.encode()) is None


@pytest.mark.parametrize("spoil", [lambda file: file.unlink(), lambda file: file.write_bytes(b"\xff")])
def test_file_that_cannot_be_read_lets_nobody_in_and_says_so(tmp_path, monkeypatch, caplog, spoil):
    monkeypatch.setattr(api_keys, "LOOK_SECONDS", 0.0)
    (ann, first), (bob, second), file = new_key("ann"), new_key("bob"), tmp_path / "keys"
    file.write_text(first)
    keys = ApiKeys(DemoSettings(api_key_file=file, api_keys=second))
    spoil(file)
    assert (keys.name_of(ann.encode()), keys.name_of(bob.encode())) == (None, "bob")
    assert "cannot be read, and none of its keys is valid" in caplog.text


def test_file_is_read_again_until_it_can_be_though_nothing_of_it_has_changed(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(api_keys, "LOOK_SECONDS", 0.0)
    (ann, first), file = new_key("ann"), tmp_path / "keys"
    file.write_text(first)
    keys = ApiKeys(DemoSettings(api_key_file=file))
    rewrite(file, f"{first}\n")

    def fail(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as busy:
        busy.setattr(Path, "read_text", fail)
        assert [keys.name_of(ann.encode()) for _ in range(3)] == [None] * 3
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    assert keys.name_of(ann.encode()) == "ann"


def test_change_of_permissions_is_a_change(tmp_path):
    file = tmp_path / "keys"
    file.write_text("")
    before = api_keys._stamp(file)
    file.chmod(0o600)
    eventually(lambda: file.chmod(0o400) or api_keys._stamp(file) != before)  # the file system's clock may be coarse


def test_line_that_is_no_entry_is_named_by_number_and_the_others_hold(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(api_keys, "LOOK_SECONDS", 0.0)
    (ann, first), (raw, _), file = new_key("ann"), new_key("bob"), tmp_path / "keys"
    file.write_text(first)
    keys = ApiKeys(DemoSettings(api_key_file=file))
    rewrite(file, f"{first}\nbob:{raw}\n")
    assert keys.name_of(ann.encode()) == "ann"
    assert "line 2: expected NAME:SHA256" in caplog.text
    assert raw not in caplog.text  # who writes the key itself has not told the log


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bob:s3cret", r"line 1: expected NAME:SHA256"),
        ("# nobody\n", "has no key: `key NAME` makes one"),
        (None, "cannot be read.*FileNotFoundError"),
    ],
)
def test_service_does_not_start_with_a_file_that_is_none(tmp_path, text, problem):
    file = tmp_path / "keys"
    if text is not None:
        file.write_text(text)
    with pytest.raises(KeysError, match=f"^DEMO_API_KEY_FILE: .*{problem}") as refused:
        ApiKeys(DemoSettings(api_key_file=file))
    assert "s3cret" not in str(refused.value)


def test_service_does_not_start_with_a_variable_that_is_none():
    with pytest.raises(KeysError, match=r"^DEMO_API_KEYS: expected NAME:SHA256") as refused:
        ApiKeys(DemoSettings(api_keys="s3cret"))
    assert "s3cret" not in str(refused.value)
