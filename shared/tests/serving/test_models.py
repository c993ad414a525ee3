"""Which model serves: the alias decides, nothing that failed a check ever does, and the old one stays."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import SettingsConfigDict

from portfolio_shared.bundle import bundle_digest
from portfolio_shared.serving.models import ModelHolder, ModelNotReady
from portfolio_shared.serving.settings import ServiceSettings

MakeBundle = Callable[..., Path]


class ToySettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="TOY_")
    port: int = 0
    model_name: str = "toy"
    model_poll_seconds: float = 0.01


def smoke_test(predictor: Any) -> None:
    price = predictor.predict(10.0)
    if price <= 0:
        raise ValueError(f"10 square metres for {price}")


@pytest.fixture
def new_holder(fake_registry: Any, tmp_path: Path, load_toy: Callable[[Path], Any]) -> Callable[..., ModelHolder[Any]]:
    """Start a service: its cache outlives it, as a volume does; keywords replace settings, `load` and `smoke_test`."""

    def make(**changes: Any) -> ModelHolder[Any]:
        functions = {name: changes.pop(name, usual) for name, usual in usual_functions.items()}
        settings = {"tracking_uri": fake_registry.uri, "model_cache": tmp_path / "cache"} | changes
        return ModelHolder(settings=ToySettings(**settings), project="toy", **functions)

    usual_functions: dict[str, Any] = {"load": load_toy, "smoke_test": smoke_test}
    return make


NewHolder = Callable[..., ModelHolder[Any]]


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_champion_is_loaded_and_swapped(fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle) -> None:
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
    assert (holder.swaps, holder.refused_bundles, holder.status().error) == (2, 0, None)


def test_going_back_uses_the_cache(fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle) -> None:
    holder = new_holder()
    for version in ("1", "2"):
        fake_registry.publish(version, make_bundle(weight=float(version)))
        holder.refresh()
    downloads = list(fake_registry.downloads)
    fake_registry.champion = "1"
    assert holder.refresh()
    assert holder.current().version == "1"
    assert fake_registry.downloads == downloads


def test_a_missing_alias_gives_a_reason_and_takes_no_model_away(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle
) -> None:
    holder = new_holder()
    assert not holder.refresh()
    with pytest.raises(ModelNotReady, match="no version with the alias 'champion': train and promote"):
        holder.current()
    fake_registry.publish("1", make_bundle())
    assert holder.refresh()
    fake_registry.champion = None
    assert not holder.refresh()
    assert holder.current().version == "1"
    assert "alias" in str(holder.status().error)
    # The registry is there and says that nothing shall serve: the cache of an earlier start is no answer to that.
    restarted = new_holder()
    assert not restarted.refresh()
    assert not restarted.status().ready


@pytest.mark.parametrize("file", ["params.npz", "bundle.json"])
def test_a_damaged_bundle_is_refused_once_and_the_old_model_stays(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle, file: str
) -> None:
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
    status = holder.status()
    assert (status.refused_bundles, status.refused_version) == (1, "2")
    assert file in str(status.error)

    fake_registry.champion = "1"  # rolled back, repaired, promoted again
    assert not holder.refresh()
    assert holder.status().error is None
    flip_a_bit(fake_registry.versions["2"] / file)
    fake_registry.champion = "2"
    assert holder.refresh()
    assert holder.current().version == "2"


def test_a_bundle_of_another_project_is_refused(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle
) -> None:
    fake_registry.publish("1", make_bundle(project="housing"))
    holder = new_holder()
    assert not holder.refresh()
    with pytest.raises(ModelNotReady, match="expected a bundle of 'toy', found 'housing'"):
        holder.current()


def test_a_model_that_fails_its_smoke_test_never_serves(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    fake_registry.publish("1", make_bundle(weight=2.0))
    holder = new_holder()
    holder.refresh()
    fake_registry.publish("2", make_bundle(weight=-1.0))
    assert not holder.refresh()
    assert holder.current().version == "1"
    assert "ValueError: 10 square metres for -10.0" in str(holder.status().error)
    assert json.loads((tmp_path / "cache" / "toy" / "last_good.json").read_text())["version"] == "1"


def test_a_model_that_does_not_load_is_refused(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle
) -> None:
    def load(folder: Path) -> Any:
        raise KeyError(folder.name)

    fake_registry.publish("1", make_bundle())
    holder = new_holder(load=load)
    assert not holder.refresh()
    with pytest.raises(ModelNotReady, match="does not start: KeyError"):
        holder.current()
    assert holder.refused_bundles == 1


def test_with_the_registry_away_the_last_good_bundle_serves(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle, unused_uri: str
) -> None:
    fake_registry.publish("1", make_bundle(weight=2.0))
    fake_registry.publish("2", make_bundle(weight=3.0))
    new_holder().refresh()
    holder = new_holder(tracking_uri=unused_uri)
    assert holder.refresh()
    loaded = holder.current()
    assert (loaded.version, loaded.run_id, loaded.origin) == ("2", "run-2", "cache")
    assert loaded.predictor.predict(10.0) == 30.0
    assert unused_uri in str(holder.status().error)
    assert not holder.refresh()
    assert holder.current() is loaded


def test_a_registry_that_comes_back_confirms_or_replaces_the_cached_model(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle
) -> None:
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
    assert (holder.swaps, holder.status().error) == (1, None)
    fake_registry.publish("2", make_bundle(weight=3.0))
    assert holder.refresh()
    assert holder.current().version == "2"


def test_a_refused_champion_at_the_start_leaves_the_last_good_one(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle
) -> None:
    fake_registry.publish("1", make_bundle())
    new_holder().refresh()
    fake_registry.publish("2", make_bundle(weight=-1.0))
    holder = new_holder()
    assert holder.refresh()
    assert (holder.current().version, holder.current().origin) == ("1", "cache")
    assert holder.status().refused_version == "2"
    assert not holder.refresh()
    assert "version 2 is refused" in str(holder.status().error)


def test_without_registry_and_cache_the_reason_is_given(new_holder: NewHolder, unused_uri: str) -> None:
    holder = new_holder(tracking_uri=unused_uri)
    assert not holder.refresh()
    with pytest.raises(ModelNotReady, match=f"no answer from {unused_uri}"):
        holder.current()


@pytest.mark.parametrize("damage", ["params.npz", "bundle.json", "last_good.json"])
def test_a_damaged_cache_is_never_served(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle, unused_uri: str, tmp_path: Path, *, damage: str
) -> None:
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


def test_a_registry_that_counts_from_one_again_is_followed(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle
) -> None:
    fake_registry.publish("1", make_bundle(weight=2.0))
    holder = new_holder()
    holder.refresh()
    fake_registry.publish("1", make_bundle(weight=3.0))  # its database was removed, and it was trained anew
    assert holder.refresh()
    assert holder.current().predictor.predict(10.0) == 30.0
    assert new_holder().refresh()


def test_the_cache_keeps_the_newest_three_and_the_one_that_serves(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    def cached() -> list[str]:
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


def test_what_a_killed_download_left_is_removed(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    leftover = tmp_path / "cache" / "toy" / ".unfinished-abc" / "bundle"
    leftover.mkdir(parents=True)
    (leftover / "params.npz").write_bytes(b"half")
    fake_registry.publish("1", make_bundle())
    assert new_holder().refresh()
    assert not leftover.parent.exists()


def test_two_replicas_share_a_cache(fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle) -> None:
    fake_registry.publish("1", make_bundle())
    holders = [new_holder() for _ in range(4)]
    threads = [threading.Thread(target=holder.refresh) for holder in holders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [holder.current().version for holder in holders] == ["1"] * 4
    assert fake_registry.downloads.count("1/params.npz") == 1


def test_requests_are_answered_while_a_model_loads(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle, load_toy: Callable[[Path], Any]
) -> None:
    loading, may_finish = threading.Event(), threading.Event()

    def slow_load(folder: Path) -> Any:
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
    assert holder.status().version == "1"
    may_finish.set()
    thread.join()
    assert holder.current().version == "2"


def test_a_folder_is_served_without_a_registry(
    new_holder: NewHolder, make_bundle: MakeBundle, unused_uri: str, tmp_path: Path
) -> None:
    folder = make_bundle(weight=4.0)
    holder = new_holder(tracking_uri=unused_uri, bundle=folder)
    assert holder.refresh()
    loaded = holder.current()
    assert (loaded.origin, loaded.run_id, loaded.version) == ("path", None, bundle_digest(folder)[:12])
    assert loaded.predictor.predict(10.0) == 40.0
    assert not holder.refresh()
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_is_damaged_or_missing_is_not_served(
    new_holder: NewHolder, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    folder = make_bundle()
    flip_a_bit(folder / "params.npz")
    for path in (folder, tmp_path / "missing"):
        holder = new_holder(bundle=path)
        assert not holder.refresh()
        with pytest.raises(ModelNotReady, match=str(path)):
            holder.current()


def test_a_cache_that_cannot_be_written_is_a_reason_not_a_crash(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    fake_registry.publish("1", make_bundle())
    holder = new_holder()
    assert not holder.refresh()
    with pytest.raises(ModelNotReady, match="cache"):
        holder.current()
    assert holder.refused_bundles == 0


@pytest.mark.parametrize("name", ["../toy", "a/b", "..", "."])
def test_a_model_name_that_is_no_folder_name_is_refused(new_holder: NewHolder, name: str) -> None:
    with pytest.raises(ValueError, match="model name without path separators"):
        new_holder(model_name=name)


def test_watch_follows_the_alias_and_outlives_bugs(
    fake_registry: Any, new_holder: NewHolder, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_registry.publish("1", make_bundle())
    holder = new_holder()
    refresh, looks = holder.refresh, iter(range(1000))

    async def scenario() -> None:
        loop, served = asyncio.get_running_loop(), asyncio.Queue[str]()

        def refresh_with_a_bug() -> bool:
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


def test_a_registry_that_is_away_for_long_is_one_line_in_the_log(
    new_holder: NewHolder, unused_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    holder = new_holder(tracking_uri=unused_uri)
    for _ in range(3):
        holder.refresh()
    assert len([record for record in caplog.records if unused_uri in record.getMessage()]) == 1


def test_serving_code_imports_nothing_heavy() -> None:
    program = """
import sys
import portfolio_shared.bundle, portfolio_shared.serving.models, portfolio_shared.serving.registry_client
print(sorted({"pandas", "sklearn", "torch", "mlflow", "scipy", "numpy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
