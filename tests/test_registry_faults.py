"""A real service with a good cache is ready soon and stops soon, whatever its registry does."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from faulty_registry import drips_files, drips_headers, faulty_registry

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS, STOP_SECONDS = 5.0, 5.0


@pytest.fixture
def registry_faults(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("registry_faults")


@pytest.mark.parametrize("fault", [drips_headers, drips_files], ids=lambda fault: fault.__name__)
def test_a_service_is_ready_from_its_cache_and_hears_sigterm(
    fault: Any,
    registry_faults: ModuleType,
    small_model: Callable[[str], Any],
    running_service: Any,
    tmp_path: Path,
) -> None:
    bundle, cache = small_model("housing").bundle, tmp_path / "cache"
    registry_faults.fill_cache(cache / "housing", bundle, "housing")
    with faulty_registry("housing", "2", bundle, fault) as registry:
        began = time.monotonic()
        with running_service("housing", tmp_path, tracking_uri=registry.uri, model_cache=cache) as service:
            service.wait_for("/readyz")
            assert time.monotonic() - began < READY_SECONDS
            assert service.version() == "1"
            stopping = time.monotonic()
        assert time.monotonic() - stopping < STOP_SECONDS
    lines = service.log()
    assert any("still asked" in line["message"] for line in lines)
    assert not [line for line in lines if "traceback" in line]
    assert not [path for path in (cache / "housing").iterdir() if path.name.startswith(".unfinished")]


def test_a_bundle_that_would_fill_the_memory_costs_none(
    registry_faults: ModuleType, small_model: Callable[[str], Any], running_service: Any, tmp_path: Path
) -> None:
    bundle, cache = small_model("housing").bundle, tmp_path / "cache"
    registry_faults.fill_cache(cache / "housing", bundle, "housing")
    bomb = registry_faults.bomb_of(bundle, tmp_path / "bomb", 500_000_000)
    with (
        faulty_registry("housing", "2", bomb, registry_faults.FAULTS["none"]) as registry,
        running_service("housing", tmp_path, tracking_uri=registry.uri, model_cache=cache) as service,
    ):
        service.wait_for("/readyz")
        while not service.metric("model_refused_bundles_total"):
            time.sleep(0.1)
        assert service.version() == "1"
        assert registry_faults.peak_megabytes(service.process.popen.pid) < 300
