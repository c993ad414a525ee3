"""What the benchmark of services makes of its measurements: processes that count, targets, tables."""

import importlib
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SERVING = Path(__file__).resolve().parent.parent / "benchmarks" / "serving"
SPINS = "import os, time\nos.setsid()\nwhile time.process_time() < 0.5: pass\ntime.sleep(60)"
STARTS = f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {SPINS!r}])\ntime.sleep(60)"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ModuleType:
    monkeypatch.syspath_prepend(SERVING.parent)
    monkeypatch.syspath_prepend(SERVING)
    return importlib.import_module(request.param)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts what Linux shows in /proc")
@pytest.mark.parametrize("module", ["group"], indirect=True)
def test_a_worker_in_a_session_of_its_own_is_counted(module: ModuleType) -> None:
    contender = subprocess.Popen([sys.executable, "-c", STARTS], start_new_session=True)
    try:
        for _ in range(1000):
            if module.cpu_seconds(contender.pid) > 0.3:
                break
            time.sleep(0.01)
        assert len(module.members(contender.pid)) == 2
        assert 0.3 < module.cpu_seconds(contender.pid) < 5
        assert module.memory_mb(contender.pid)["rss_mb"] > 5
    finally:
        module.signal_all(contender.pid, 9)
        contender.wait()


def load(a_second: float, cpu_ms: float) -> dict[str, float]:
    return {"a_second": a_second, "p50": 1.0, "p99": 2.0, "cpu_ms": cpu_ms, "refused_share": 0.0}


@pytest.fixture
def houses() -> dict[str, dict[str, Any]]:
    """Every target is met, each by a tenth."""
    needs = {"ready_seconds": 1.0, "rss_mb": 80.0, "pss_mb": 70.0}
    loads = {
        "ours": load(3080, 1.0),
        "our /healthz": load(6000, 0.75),
        "bare FastAPI": load(8000, 0.66),
        "mlflow models serve": load(110, 20.0),
        "FastAPI, pandas, scikit-learn": load(28, 30.0),
        "ours, 100 houses at once": load(100, 9.0),
        "ours, two workers, 100 houses at once": load(187, 9.0),
    }
    return {name: {"16": at_16} | needs for name, at_16 in loads.items()}


@pytest.mark.parametrize("module", ["targets"], indirect=True)
@pytest.mark.parametrize(
    ("row", "figures", "missed"),
    [
        ("ours", {"cpu_ms": 1.4}, 2),
        ("our /healthz", {"cpu_ms": 0.9}, 1),
        ("ours", {"a_second": 2700}, 3),
        ("ours, two workers, 100 houses at once", {"a_second": 160}, 1),
        ("ours", {}, 0),
    ],
)
def test_targets_are_ratios_of_one_run(
    module: ModuleType, houses: dict[str, Any], row: str, figures: dict[str, float], missed: int
) -> None:
    houses[row]["16"] |= figures
    outcomes = module.outcomes("housing", houses)
    assert len(outcomes) == 7
    assert [outcome["met"] for outcome in outcomes].count(False) == missed


@pytest.mark.parametrize("module", ["report"], indirect=True)
def test_the_section_says_what_is_not_met_and_what_was_refused(module: ModuleType, houses: dict[str, Any]) -> None:
    houses["ours"]["16"]["refused_share"] = 0.59
    targets = [{"what": "speed", "measured": 1.5, "target": "at least 2", "met": False}]
    about = {"date": "2026-01-02", "commit": "abc", "machine": "2 cores", "python": "3.11", "rounds": 3, "seconds": 2}
    text = module.section("housing", about | {"targets": targets, "rows": houses}, [1, 16, 64])
    assert "One house, on 2026-01-02 at abc: 2 cores, Python 3.11; the median of 3 rounds of 2 s in turns." in text
    assert "| speed | 1.5 | at least 2 | NOT MET |" in text
    assert "| ours |  | 3,080 (59% refused) |  |  | 1.00 / 2.00 |  | 1.000 | 1.00 | 1.0 | 70 / 80 |" in text
    assert "| mlflow models serve |  | 110 |  |  | 1.00 / 2.00 |  | 20.000 | 0.05 | 1.0 | 70 / 80 |" in text
