"""A registry that takes its time: it is given up, the last good model serves meanwhile, what comes late counts."""

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from demo_service import eventually

from faulty_registry import drips_answers, drips_files, drips_headers, faulty_registry, silent
from portfolio_shared.serving import models as models_module
from portfolio_shared.serving import registry_client
from portfolio_shared.serving.models import ModelNotReady
from portfolio_shared.serving.registry_client import RegistryClient, RegistryUnavailable


@pytest.mark.parametrize("fault", [silent, drips_headers, drips_answers, drips_files])
def test_a_registry_that_takes_long_is_asked_on_while_the_last_good_model_serves(
    fake_registry, new_holder, make_bundle, monkeypatch, *, caplog, fault
):
    monkeypatch.setattr(models_module, "CACHE_AFTER_SECONDS", 0.05)
    fake_registry.publish("1", make_bundle())
    new_holder().refresh()
    with faulty_registry("toy", "2", make_bundle(weight=3.0), fault) as registry:
        holder = new_holder(tracking_uri=registry.uri)
        looking = threading.Thread(target=holder.refresh)
        looking.start()
        eventually(lambda: holder.error and "still asked" in holder.error)
        assert (holder.current().version, holder.current().origin) == ("1", "cache")
        assert looking.is_alive()
        assert "within 0.05 s" in caplog.text
        began = time.monotonic()
        holder.close()
        looking.join()
        assert time.monotonic() - began < models_module.END_SECONDS
    assert holder.current().version == "1"


def test_an_answer_that_comes_late_replaces_the_model_of_the_cache(fake_registry, new_holder, make_bundle, monkeypatch):
    monkeypatch.setattr(models_module, "CACHE_AFTER_SECONDS", 0.05)
    fake_registry.publish("1", make_bundle())
    new_holder().refresh()
    may_answer = threading.Event()

    def slow(_):
        return not may_answer.wait(10)

    with faulty_registry("toy", "2", make_bundle(weight=3.0), slow) as registry:
        holder = new_holder(tracking_uri=registry.uri)
        looking = threading.Thread(target=holder.refresh)
        looking.start()
        eventually(lambda: holder.swaps == 1)
        may_answer.set()
        looking.join()
    assert (holder.current().version, holder.current().origin, holder.error) == ("2", "registry", None)
    assert holder.swaps == 2


def test_no_alias_is_an_answer_however_late_it_comes(fake_registry, new_holder, make_bundle, monkeypatch):
    monkeypatch.setattr(models_module, "CACHE_AFTER_SECONDS", 0.05)
    fake_registry.publish("1", make_bundle())
    new_holder().refresh()
    may_answer = threading.Event()

    def no_alias(handler):
        may_answer.wait(10)
        handler.answer({"error_code": "RESOURCE_DOES_NOT_EXIST"}, 404)
        return True

    with faulty_registry("toy", "2", make_bundle(), no_alias) as registry:
        holder = new_holder(tracking_uri=registry.uri)
        looking = threading.Thread(target=holder.refresh)
        looking.start()
        eventually(lambda: holder.swaps == 1)
        may_answer.set()
        looking.join()
    holder._serve_meanwhile()  # as a timer does that has run out, and comes to it late
    with pytest.raises(ModelNotReady, match="no version with the alias"):
        holder.current()


def test_without_a_cache_a_slow_registry_is_named_before_it_has_answered(new_holder, bundle, monkeypatch):
    monkeypatch.setattr(models_module, "CACHE_AFTER_SECONDS", 0.05)
    with faulty_registry("toy", "2", bundle, silent) as registry:
        holder = new_holder(tracking_uri=registry.uri)
        looking = threading.Thread(target=holder.refresh)
        looking.start()
        eventually(lambda: "still asked" in str(holder.error))
        with pytest.raises(ModelNotReady, match="the registry does not answer"):
            holder.current()
        holder.close()
        looking.join()


@pytest.mark.parametrize("fault", [silent, drips_headers, drips_answers])
def test_an_answer_that_does_not_end_is_cut_off(fault, bundle, monkeypatch):
    monkeypatch.setattr(registry_client, "MAX_ANSWER_SECONDS", 0.3)
    began = time.monotonic()
    with faulty_registry("toy", "3", bundle, fault) as registry, pytest.raises(RegistryUnavailable, match="in time"):
        RegistryClient(registry.uri).alias("toy", "champion")
    assert time.monotonic() - began < 2.0


def test_a_file_that_does_not_end_is_cut_off(bundle, monkeypatch, tmp_path):
    monkeypatch.setattr(registry_client, "MAX_DOWNLOAD_SECONDS", 0.3)
    with faulty_registry("toy", "3", bundle, drips_files) as registry, RegistryClient(registry.uri) as client:
        version = client.alias("toy", "champion")
        with pytest.raises(RegistryUnavailable, match="time"):
            client.download_bundle(version, tmp_path / "into")


@pytest.mark.parametrize("fault", [silent, drips_headers, drips_answers])
def test_another_thread_can_give_up_what_is_asked(fault, bundle):
    with faulty_registry("toy", "3", bundle, fault) as registry, ThreadPoolExecutor(1) as pool:
        client = RegistryClient(registry.uri)
        asking = pool.submit(client.alias, "toy", "champion")
        while not client._running:
            time.sleep(0.01)
        time.sleep(0.1)  # for the connection
        client.close()
        with pytest.raises(RegistryUnavailable):
            asking.result(timeout=2.0)
        with pytest.raises(RegistryUnavailable, match="ends"):
            client.alias("toy", "champion")


def test_a_packed_answer_is_not_unpacked(bundle):
    def packed(handler):
        handler.send(200, gzip.compress(bytes(10**8)), coding="gzip")
        return True

    with (
        faulty_registry("toy", "3", bundle, packed) as registry,
        pytest.raises(RegistryUnavailable, match="expected the JSON"),
    ):
        RegistryClient(registry.uri).alias("toy", "champion")
