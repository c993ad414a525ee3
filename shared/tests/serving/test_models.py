"""Which model serves: the alias decides, nothing that failed a check ever does, and the old one stays."""

import asyncio
import json
import threading

import numpy as np
import pytest

from portfolio_shared.bundle import bundle_digest, write_bundle
from portfolio_shared.serving.models import ModelNotReady


def test_the_champion_is_loaded_and_swapped(fake_registry, new_holder, make_bundle):
    fake_registry.publish("1", make_bundle(weight=2.0))
    holder = new_holder()
    with pytest.raises(ModelNotReady, match="still to come"):
        holder.current()
    assert holder.refresh()
    first = holder.current()
    assert (first.name, first.version, first.run_id, first.origin) == ("toy", "1", "run-1", "registry")
    assert first.predictor.predict(10.0) == 20.0
    assert first.manifest.project == "toy"
    assert not holder.refresh()
    assert holder.current() is first

    fake_registry.publish("2", make_bundle(weight=3.0))
    assert holder.refresh()
    assert holder.current().version == "2"
    assert holder.current().predictor.predict(10.0) == 30.0
    assert first.predictor.predict(10.0) == 20.0  # a request that started before the swap ends with its model
    assert (holder.swaps, holder.refused_bundles, holder.error) == (2, 0, None)


def test_a_challenger_has_a_cache_of_its_own_and_goes_with_its_alias(fake_registry, new_holder, make_bundle, tmp_path):
    fake_registry.publish("1", make_bundle())
    fake_registry.publish("2", make_bundle(weight=3.0))
    fake_registry.champion, fake_registry.challenger = "1", "2"
    champion, challenger = new_holder(), new_holder(alias="challenger")
    assert champion.refresh()
    assert challenger.refresh()
    assert [holder.current().version for holder in (champion, challenger)] == ["1", "2"]
    assert (tmp_path / "cache" / "challenger" / "toy" / "2").is_dir()

    fake_registry.challenger = None
    assert not challenger.refresh()
    with pytest.raises(ModelNotReady, match="no version with the alias 'challenger'"):
        challenger.current()
    fake_registry.overrides["/api/2.0/mlflow/registered-models/alias"] = (500, b"{}")
    restarted = new_holder(alias="challenger")
    assert not restarted.refresh()  # what once was the challenger need not be it any more
    with pytest.raises(ModelNotReady):
        restarted.current()


def test_a_service_starts_from_its_last_good_bundle_whatever_its_alias(fake_registry, new_holder, make_bundle):
    fake_registry.publish("1", make_bundle())
    fake_registry.challenger = "1"
    assert new_holder(model_alias="challenger").refresh()
    fake_registry.overrides["/api/2.0/mlflow/registered-models/alias"] = (500, b"{}")
    restarted = new_holder(model_alias="challenger")
    assert restarted.refresh()
    assert restarted.current().origin == "cache"


def test_going_back_uses_the_cache(fake_registry, new_holder, make_bundle):
    holder = new_holder()
    for version in ("1", "2"):
        fake_registry.publish(version, make_bundle(weight=float(version)))
        holder.refresh()
    downloads = list(fake_registry.downloads)
    fake_registry.champion = "1"
    assert holder.refresh()
    assert holder.current().version == "1"
    assert fake_registry.downloads == downloads


def test_a_missing_alias_gives_a_reason_and_takes_no_model_away(fake_registry, new_holder, make_bundle):
    holder = new_holder()
    assert not holder.refresh()
    with pytest.raises(ModelNotReady, match="no version with the alias 'champion': train and promote"):
        holder.current()
    fake_registry.publish("1", make_bundle())
    assert holder.refresh()
    fake_registry.champion = None
    assert not holder.refresh()
    assert holder.current().version == "1"
    assert "alias" in holder.error
    # The registry is there and says that nothing shall serve: the cache of an earlier start is no answer to that.
    restarted = new_holder()
    assert not restarted.refresh()
    with pytest.raises(ModelNotReady):
        restarted.current()


@pytest.mark.parametrize("file", ["params.npz", "bundle.json"])
def test_a_damaged_bundle_is_refused_once_and_the_old_model_stays(
    fake_registry, new_holder, make_bundle, file, flip_a_bit
):
    fake_registry.publish("1", make_bundle())
    holder = new_holder()
    holder.refresh()
    fake_registry.publish("2", make_bundle(weight=3.0))
    flip_a_bit(fake_registry.versions["2"] / file)
    fake_registry.downloads.clear()
    assert not holder.refresh()
    asked = len(fake_registry.downloads)
    assert asked >= 1
    assert not holder.refresh()
    assert len(fake_registry.downloads) == asked  # not again at every poll
    assert holder.current().version == "1"
    assert holder.refused_bundles == 1
    assert "version 2 is refused" in holder.error
    assert file in holder.error

    fake_registry.champion = "1"  # rolled back, repaired, promoted again
    assert not holder.refresh()
    assert holder.error is None
    flip_a_bit(fake_registry.versions["2"] / file)
    fake_registry.champion = "2"
    assert holder.refresh()
    assert holder.current().version == "2"


def test_a_model_that_fails_its_smoke_test_never_serves(fake_registry, new_holder, make_bundle, tmp_path):
    fake_registry.publish("1", make_bundle(weight=2.0))
    holder = new_holder()
    holder.refresh()
    fake_registry.publish("2", make_bundle(weight=-1.0))
    assert not holder.refresh()
    assert holder.current().version == "1"
    assert "ValueError: 10 square meters for -10.0" in holder.error
    assert json.loads((tmp_path / "cache" / "toy" / "last_good.json").read_text())["version"] == "1"


@pytest.mark.parametrize(
    ("project", "message"),
    [("housing", "expected a bundle of 'toy', found 'housing'"), ("toy", "does not start: KeyError")],
)
def test_what_belongs_elsewhere_or_does_not_load_is_refused(fake_registry, new_holder, make_bundle, project, message):
    def load(folder):
        raise KeyError(folder.name)

    fake_registry.publish("1", make_bundle(project=project))
    holder = new_holder(load=load)
    assert not holder.refresh()
    with pytest.raises(ModelNotReady, match=message):
        holder.current()
    assert holder.refused_bundles == 1


def test_a_bundle_that_unpacks_to_more_than_it_may_is_never_loaded(
    fake_registry, new_holder, make_bundle, toy_manifest
):
    bomb = make_bundle()
    np.savez_compressed(bomb / "params.npz", weight=np.float64(2.0), zeros=np.zeros(10**6))
    write_bundle(bomb, toy_manifest())
    fake_registry.publish("1", bomb)
    holder = new_holder(model_megabytes=5.0, load=lambda folder: pytest.fail(f"loaded {folder}"))
    assert not holder.refresh()
    with pytest.raises(ModelNotReady, match=r"version 1 is refused.*more than the 5 MB"):
        holder.current()
    assert new_holder(model_megabytes=20.0).refresh()


def test_requests_are_answered_while_a_model_loads(fake_registry, new_holder, make_bundle, load_toy):
    loading, may_finish = threading.Event(), threading.Event()

    def slow_load(folder):
        if folder.name == "2":
            loading.set()
            assert may_finish.wait(30)
        return load_toy(folder)

    fake_registry.publish("1", make_bundle())
    holder = new_holder(load=slow_load)
    holder.refresh()
    fake_registry.publish("2", make_bundle(weight=3.0))
    thread = threading.Thread(target=holder.refresh)
    thread.start()
    assert loading.wait(30)
    assert holder.current().version == "1"
    may_finish.set()
    thread.join()
    assert holder.current().version == "2"


def test_a_folder_is_served_without_a_registry(new_holder, make_bundle, unused_uri, tmp_path):
    folder = make_bundle(weight=4.0)
    holder = new_holder(tracking_uri=unused_uri, bundle=folder)
    assert holder.refresh()
    loaded = holder.current()
    assert (loaded.origin, loaded.run_id, loaded.version) == ("path", None, bundle_digest(folder)[:12])
    assert loaded.predictor.predict(10.0) == 40.0
    assert not holder.refresh()
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_is_damaged_or_missing_is_not_served(new_holder, make_bundle, tmp_path, flip_a_bit):
    folder = make_bundle()
    flip_a_bit(folder / "params.npz")
    for path in (folder, tmp_path / "missing"):
        holder = new_holder(bundle=path)
        assert not holder.refresh()
        with pytest.raises(ModelNotReady, match=str(path)):
            holder.current()


def test_a_cache_that_cannot_be_written_is_a_reason_not_a_crash(fake_registry, new_holder, make_bundle, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    fake_registry.publish("1", make_bundle())
    holder = new_holder()
    assert not holder.refresh()
    with pytest.raises(ModelNotReady, match="cache"):
        holder.current()
    assert holder.refused_bundles == 0


@pytest.mark.parametrize("name", ["../toy", "a/b", "..", "."])
def test_a_model_name_that_is_no_folder_name_is_refused(new_holder, name):
    with pytest.raises(ValueError, match="model name without path separators"):
        new_holder(model_name=name)


def test_watch_follows_the_alias_and_outlives_bugs(fake_registry, new_holder, make_bundle, monkeypatch):
    fake_registry.publish("1", make_bundle())
    holder = new_holder()
    refresh, looks = holder.refresh, iter(range(1000))

    async def scenario():
        loop, served = asyncio.get_running_loop(), asyncio.Queue[str]()

        def refresh_with_a_bug():
            if next(looks) == 0:
                raise ZeroDivisionError
            if swapped := refresh():
                loop.call_soon_threadsafe(served.put_nowait, holder.current().version)
            return swapped

        monkeypatch.setattr(holder, "refresh", refresh_with_a_bug)
        watch = asyncio.create_task(holder.watch())
        assert await asyncio.wait_for(served.get(), 30) == "1"
        fake_registry.publish("2", make_bundle(weight=3.0))
        assert await asyncio.wait_for(served.get(), 30) == "2"
        watch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watch

    asyncio.run(scenario())
    assert next(looks) > 2


def test_a_registry_that_is_away_for_long_is_one_line_in_the_log(new_holder, unused_uri, caplog):
    holder = new_holder(tracking_uri=unused_uri)
    for _ in range(3):
        holder.refresh()
    assert len([record for record in caplog.records if unused_uri in record.getMessage()]) == 1


@pytest.mark.parametrize("kind", ["away", "another server", "no model folder"])
def test_a_client_reads_why_there_is_no_model_but_no_address_and_no_secret(
    new_holder, fake_registry, kind, caplog, tmp_path
):
    uri = (fake_registry.uri if kind == "another server" else "http://127.0.0.1:9").replace("//", "//me:s3cret@")
    fake_registry.overrides["/api/2.0/mlflow/registered-models/alias"] = (
        500,
        b'{"message": "postgresql://me:s3cret@db"}',
    )
    bundle = tmp_path / "none" if kind == "no model folder" else None
    holder = new_holder(tracking_uri=f"{uri}?token=s3cret", bundle=bundle)
    holder.refresh()
    with pytest.raises(ModelNotReady, match="bundle.json" if bundle else "the registry does not answer") as caught:
        holder.current()
    assert not any(secret in str(caught.value) for secret in ("://", "127.0.0.1", "s3cret", "me:", "***"))
    assert bundle or "http://***@127.0.0.1" in caplog.text
    assert "s3cret" not in caplog.text
