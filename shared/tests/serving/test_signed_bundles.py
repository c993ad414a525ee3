"""With a public key in its settings a service takes no bundle that is not signed, wherever it is from."""

import tempfile

import numpy as np
import pytest

from portfolio_shared.serving import model_cache
from portfolio_shared.serving import models as models_module
from portfolio_shared.serving.models import ModelNotReady
from portfolio_shared.signatures import read_signature


def publish(registry, version, bundle):
    registry.publish(version, bundle)
    registry.signatures[version] = read_signature(bundle)


@pytest.mark.parametrize("source", ["registry", "cache", "path", "challenger"])
@pytest.mark.parametrize("signed", [True, False])
def test_with_a_key_only_what_is_signed_serves(
    fake_registry, new_holder, make_bundle, signed_bundle, *, unused_uri, key, source, signed
):
    bundle = signed_bundle() if signed else make_bundle()
    publish(fake_registry, "1", bundle)
    fake_registry.challenger = "1"
    changes = {"bundle_key": key[1]}
    if source == "cache":
        assert new_holder().refresh()  # without a key
        changes["tracking_uri"] = unused_uri
    elif source == "path":
        changes["bundle"] = bundle
    elif source == "challenger":
        changes["alias"] = "challenger"
    fake_registry.downloads.clear()
    holder = new_holder(**changes)
    assert holder.refresh() == signed
    if not signed:
        with pytest.raises(ModelNotReady, match="is not signed"):
            holder.current()
        assert fake_registry.downloads == []


def test_an_unsigned_champion_leaves_the_signed_one_and_one_that_is_signed_later_serves(
    fake_registry, new_holder, signed_bundle, key
):
    publish(fake_registry, "1", signed_bundle())
    holder = new_holder(bundle_key=key[1])
    assert holder.refresh()
    later = signed_bundle(weight=3.0)
    fake_registry.publish("2", later)
    assert not holder.refresh()
    assert holder.current().version == "1"
    fake_registry.signatures["2"] = read_signature(later)
    assert holder.refresh()


@pytest.mark.parametrize("source", ["registry", "cache", "path"])
@pytest.mark.parametrize("after", ["verify_bundle", "check_size"])
def test_with_a_key_what_was_checked_is_what_is_loaded_though_files_change_meanwhile(
    fake_registry, new_holder, signed_bundle, unused_uri, *, key, monkeypatch, tmp_path, source, after
):
    bundle = signed_bundle(weight=2.0)
    publish(fake_registry, "1", bundle)
    changes = {"registry": {}, "cache": {"tracking_uri": unused_uri}, "path": {"bundle": bundle}}[source]
    assert new_holder().refresh()
    file = (bundle if source == "path" else tmp_path / "cache" / "toy" / "1") / "params.npz"
    module = model_cache if after == "verify_bundle" and source != "path" else models_module
    check = getattr(module, after)

    def check_and_exchange(*arguments, **options):
        found = check(*arguments, **options)
        np.savez(file, weight=np.float64(9.0))
        return found

    (tmp_path / "private").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "private"))
    monkeypatch.setattr(module, after, check_and_exchange)
    holder = new_holder(bundle_key=key[1], **changes)
    if module is models_module:
        assert holder.refresh()
        assert holder.current().predictor.predict(10.0) == 20.0
    else:  # before there was a copy of the service's own
        assert not holder.refresh()
        assert f"{file}: expected sha256" in holder.error
    assert not list((tmp_path / "private").iterdir())


@pytest.mark.parametrize("text", ["AAAA", "no base64", "²", "A" * 43])
def test_a_setting_that_is_no_key_is_an_error(new_holder, text):
    with pytest.raises(ValueError, match="32 bytes in base64"):
        new_holder(bundle_key=text)


def test_without_a_key_the_library_is_not_loaded(loaded_by):
    assert "cryptography" not in loaded_by("portfolio_shared.serving.app")
