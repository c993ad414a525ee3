"""What a service keeps on disk: the last good model, and nothing that failed a check."""

import errno
import os
import threading

import pytest

from portfolio_shared.serving.models import ModelNotReady
from portfolio_shared.serving.registry_client import RegistryClient


def test_with_the_registry_away_the_last_good_bundle_serves(fake_registry, new_holder, make_bundle, unused_uri):
    fake_registry.publish("1", make_bundle(weight=2.0))
    fake_registry.publish("2", make_bundle(weight=3.0))
    new_holder().refresh()
    holder = new_holder(tracking_uri=unused_uri)
    assert holder.refresh()
    loaded = holder.current()
    assert (loaded.version, loaded.run_id, loaded.origin) == ("2", "run-2", "cache")
    assert loaded.predictor.predict(10.0) == 30.0
    assert unused_uri in holder.error
    assert not holder.refresh()
    assert holder.current() is loaded


def test_a_registry_that_comes_back_confirms_or_replaces_the_cached_model(fake_registry, new_holder, make_bundle):
    fake_registry.publish("1", make_bundle())
    new_holder().refresh()
    alias = "/api/2.0/mlflow/registered-models/alias"
    fake_registry.overrides[alias] = (503, b"{}")
    holder = new_holder()
    assert holder.refresh()
    cached = holder.current()
    del fake_registry.overrides[alias]
    assert not holder.refresh()
    confirmed = holder.current()
    assert (confirmed.origin, confirmed.predictor) == ("registry", cached.predictor)
    assert (holder.swaps, holder.error) == (1, None)
    fake_registry.publish("2", make_bundle(weight=3.0))
    assert holder.refresh()
    assert holder.current().version == "2"


def test_a_refused_champion_at_the_start_leaves_the_last_good_one(fake_registry, new_holder, make_bundle):
    fake_registry.publish("1", make_bundle())
    new_holder().refresh()
    fake_registry.publish("2", make_bundle(weight=-1.0))
    holder = new_holder()
    assert holder.refresh()
    assert (holder.current().version, holder.current().origin) == ("1", "cache")
    assert not holder.refresh()
    assert "version 2 is refused" in holder.error


@pytest.mark.parametrize("damage", ["params.npz", "bundle.json", "last_good.json"])
def test_a_damaged_cache_is_never_served(
    fake_registry, new_holder, make_bundle, unused_uri, tmp_path, *, damage, flip_a_bit
):
    fake_registry.publish("1", make_bundle())
    new_holder().refresh()
    cache = tmp_path / "cache" / "toy"
    if damage == "last_good.json":
        (cache / damage).write_text('{"name": "toy", "version": "../1", "run_id": "", "bundle_sha256": ""}')
    else:
        flip_a_bit(cache / "1" / damage)
    holder = new_holder(tracking_uri=unused_uri)
    assert not holder.refresh()
    with pytest.raises(ModelNotReady, match="and of the last good bundle"):
        holder.current()
    # With the registry there, the damaged copy is replaced.
    fake_registry.downloads.clear()
    holder = new_holder()
    assert holder.refresh()
    assert holder.current().predictor.predict(10.0) == 20.0
    assert bool(fake_registry.downloads) == (damage != "last_good.json")


def test_a_registry_that_counts_from_one_again_is_followed(fake_registry, new_holder, make_bundle):
    fake_registry.publish("1", make_bundle(weight=2.0))
    holder = new_holder()
    holder.refresh()
    fake_registry.publish("1", make_bundle(weight=3.0))  # its database was removed, and it was trained anew
    assert holder.refresh()
    assert holder.current().predictor.predict(10.0) == 30.0
    assert new_holder().refresh()


def test_the_cache_keeps_the_newest_three_and_the_one_that_serves(fake_registry, new_holder, make_bundle, tmp_path):
    def cached():
        return sorted((path.name for path in (tmp_path / "cache" / "toy").iterdir() if path.is_dir()), key=int)

    holder = new_holder()
    for version in ("8", "9", "10", "11"):
        fake_registry.publish(version, make_bundle(weight=float(version)))
        assert holder.refresh()
    assert cached() == ["9", "10", "11"]
    fake_registry.champion = "8"
    assert holder.refresh()
    assert cached() == ["8", "9", "10", "11"]
    fake_registry.champion = "11"
    assert holder.refresh()
    assert cached() == ["9", "10", "11"]


def test_what_a_killed_download_left_is_removed(fake_registry, new_holder, make_bundle, tmp_path):
    leftover = tmp_path / "cache" / "toy" / ".unfinished-abc" / "bundle"
    leftover.mkdir(parents=True)
    (leftover / "params.npz").write_bytes(b"half")
    fake_registry.publish("1", make_bundle())
    assert new_holder().refresh()
    assert not leftover.parent.exists()


def unlockable(cache):
    (cache / ".lock").unlink()
    (cache / ".lock").mkdir()  # who is root may open any file, and no folder


def forbidden(cache):
    for path in (cache / ".lock", cache / "last_good.json", cache):
        path.chmod(path.stat().st_mode & ~0o222)


@pytest.mark.parametrize("registry", ["there", "away"])
@pytest.mark.parametrize(
    "limit",
    [unlockable, pytest.param(forbidden, marks=pytest.mark.skipif(os.getuid() == 0, reason="root may write anyway"))],
)
def test_a_cache_that_can_only_be_read_serves_what_it_has(
    fake_registry, new_holder, make_bundle, unused_uri, *, tmp_path, registry, limit
):
    fake_registry.publish("1", make_bundle())
    new_holder().refresh()
    limit(tmp_path / "cache" / "toy")
    holder = new_holder(**({"tracking_uri": unused_uri} if registry == "away" else {}))
    assert holder.refresh()
    assert holder.current().origin == ("cache" if registry == "away" else "registry")
    fake_registry.publish("2", make_bundle(weight=3.0))
    if registry == "there":
        assert holder.error is None
        assert not holder.refresh()
        assert "cannot be written" in holder.error
        assert holder.current().version == "1"
    (tmp_path / "cache" / "toy").chmod(0o755)


def test_another_replica_that_holds_the_lock_keeps_no_service_from_its_last_good_model(
    fake_registry, new_holder, make_bundle, unused_uri
):
    fake_registry.publish("1", make_bundle())
    first = new_holder()
    first.refresh()
    with first._cache.locked():
        assert new_holder(tracking_uri=unused_uri).refresh()


@pytest.mark.parametrize("name", ["²", "1" * 30, "x"])
def test_folders_that_are_no_versions_are_left_alone(fake_registry, new_holder, make_bundle, tmp_path, name):
    (tmp_path / "cache" / "toy" / name).mkdir(parents=True)
    fake_registry.publish("1", make_bundle())
    holder = new_holder()
    assert holder.refresh()
    assert holder.error is None
    assert (tmp_path / "cache" / "toy" / name).is_dir()


@pytest.mark.parametrize(
    "note",
    [b"[" * 50_000, b"[" * 70_000, b"\xff", b"[]", b'{"name": "toy", "version": 1, "run_id": "", "bundle_sha256": ""}'],
)
def test_a_note_that_nobody_wrote_is_one_reason(fake_registry, new_holder, make_bundle, unused_uri, *, tmp_path, note):
    fake_registry.publish("1", make_bundle())
    new_holder().refresh()
    (tmp_path / "cache" / "toy" / "last_good.json").write_bytes(note)
    holder = new_holder(tracking_uri=unused_uri)
    assert not holder.refresh()
    with pytest.raises(ModelNotReady, match=r"last_good\.json: "):
        holder.current()
    assert new_holder().refresh()  # and is written anew


def test_a_full_disk_takes_no_model_away_and_leaves_nothing_behind(
    fake_registry, new_holder, make_bundle, tmp_path, monkeypatch
):
    fake_registry.publish("1", make_bundle())
    holder = new_holder()
    holder.refresh()

    def fill(client, version, into):
        into.mkdir()
        (into / "params.npz").write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(RegistryClient, "download_bundle", fill)
        fake_registry.publish("2", make_bundle(weight=3.0))
        refilled = new_holder()
        assert refilled.refresh()
        for each in (holder, refilled):
            assert not each.refresh()
            assert (each.current().version, each.refused_bundles) == ("1", 0)
            assert "No space left" in each.error
    assert not [path for path in (tmp_path / "cache" / "toy").iterdir() if path.name.startswith(".unfinished")]
    assert holder.refresh()
    assert holder.current().version == "2"


def test_a_note_that_could_not_be_written_is_written_at_a_later_look(
    fake_registry, new_holder, make_bundle, unused_uri, *, tmp_path
):
    fake_registry.publish("1", make_bundle())
    holder = new_holder()
    holder.refresh()
    unfinished = tmp_path / "cache" / "toy" / "last_good.json.tmp"
    unfinished.mkdir()  # nothing can be written there
    fake_registry.publish("2", make_bundle(weight=3.0))
    assert holder.refresh()
    for _ in range(2):
        assert not holder.refresh()
        assert (holder.current().version, holder.swaps) == ("2", 2)
        assert "last_good.json" in holder.error
    unfinished.rmdir()
    assert not holder.refresh()
    assert holder.error is None
    restarted = new_holder(tracking_uri=unused_uri)
    assert restarted.refresh()
    assert restarted.current().version == "2"


def test_two_replicas_share_a_cache(fake_registry, new_holder, make_bundle):
    fake_registry.publish("1", make_bundle())
    holders = [new_holder() for _ in range(4)]
    threads = [threading.Thread(target=holder.refresh) for holder in holders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [holder.current().version for holder in holders] == ["1"] * 4
    assert fake_registry.downloads.count("1/params.npz") == 1
