"""A signature of a bundle's digest: who may make one, and that nothing else counts as one."""

import stat
import sys

import pytest

from portfolio_shared.bundle import BundleError, bundle_digest, read_manifest
from portfolio_shared.signatures import (
    VARIABLE,
    SigningKeyError,
    check_signature,
    main,
    make_key,
    public_keys,
    read_key,
    read_signature,
    sign,
    signing_key,
)


def test_a_signed_bundle_is_verified_and_is_the_bundle_it_was(key, signed_bundle):
    folder = signed_bundle()
    other = "A" * 43 + "="
    check_signature(bundle_digest(folder), read_signature(folder), public_keys(f"{other}, {key[1]}"))
    assert "bundle.sig" not in read_manifest(folder).files
    assert stat.S_IMODE(key[0].stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        make_key(key[0])


@pytest.mark.parametrize("forged", ["", "none", "other key", "other bundle", "no base64 ²", "AAAA"])
def test_any_other_signature_is_refused(key, signed_bundle, make_bundle, tmp_path, forged):
    folder, signature = signed_bundle(), forged
    if forged == "other key":
        make_key(tmp_path / "b.pem")
        sign(folder, read_key(tmp_path / "b.pem"))
        signature = read_signature(folder)
    elif forged == "other bundle":
        signature = read_signature(signed_bundle(weight=3.0))
    elif forged == "none":
        signature = read_signature(make_bundle())
    with pytest.raises(BundleError, match="is not signed" if not signature else "is not one of the key"):
        check_signature(bundle_digest(folder), signature, public_keys(key[1]))


def test_a_training_signs_where_the_environment_names_a_key(key, monkeypatch, bundle, tmp_path):
    assert signing_key() is None
    monkeypatch.setenv(VARIABLE, str(key[0]))
    found = signing_key()
    assert found is not None
    sign(bundle, found)
    check_signature(bundle_digest(bundle), read_signature(bundle), public_keys(key[1]))
    (tmp_path / "no.pem").write_text("s3cret")
    for path in (tmp_path / "no.pem", tmp_path / "missing.pem", tmp_path):
        monkeypatch.setenv(VARIABLE, str(path))
        with pytest.raises(SigningKeyError, match=VARIABLE) as caught:
            signing_key()
        assert "s3cret" not in str(caught.value)


def test_the_command_makes_a_key_and_signs(tmp_path, bundle, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["signatures", *map(str, arguments)])
        main()
        return capsys.readouterr().out.strip()

    public = run("key", tmp_path / "key.pem")
    assert run("sign", tmp_path / "key.pem", bundle).endswith(public)
    check_signature(bundle_digest(bundle), read_signature(bundle), public_keys(public))
    with pytest.raises(SystemExit, match="exists"):
        run("key", tmp_path / "key.pem")
