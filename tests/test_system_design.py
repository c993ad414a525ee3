"""docs/system-design.md states what follows from the records and from its assumptions, whose sources it names."""

import importlib
import re
import tomllib
from types import ModuleType

import pytest
from checkout import ROOT

from portfolio_shared.evaluation.documents import stale

DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "system-design.md"]


@pytest.fixture
def design(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("system_design")


@pytest.fixture
def assumed() -> dict[str, float]:
    stated = tomllib.loads((ROOT / "benchmarks/system_design.toml").read_text(encoding="utf-8"))
    return {name: float(entry["value"]) for name, entry in stated["assumed"].items()}


def test_the_document_is_what_the_records_say(design: ModuleType) -> None:
    sections, numbers = design.contents()
    found = [line for line in stale(DOCUMENTS, sections, numbers, of="design.") if "README.md: section" not in line]
    assert found == [], "run `make system-design`"


def test_needs_follow_from_the_load(design: ModuleType, assumed: dict[str, float]) -> None:
    each = design.Request(cpu_ms=5.0, log_bytes=3000, answer_bytes=1000)
    need, twice = (design.needed(requests, each, assumed) for requests in (50e6, 100e6))
    assert need.busy_cores == pytest.approx(50e6 / 86_400 * assumed["peak"] * 0.005)
    assert need.machines * design.CORES_OF_MACHINE * assumed["busy"] >= need.busy_cores
    assert twice.busy_cores == pytest.approx(2 * need.busy_cores)
    assert (twice.log, twice.egress) == pytest.approx((2 * need.log, 2 * need.egress))
    assert twice.serving / twice.machines == pytest.approx(need.serving / need.machines)
    assert need.total == pytest.approx(need.serving + need.log + need.egress)


def test_a_service_never_has_one_machine_alone(design: ModuleType, assumed: dict[str, float]) -> None:
    assert design.needed(1, design.Request(1.0, 0, 0), assumed).machines == 2


def test_a_larger_catalog_costs_in_proportion(design: ModuleType, assumed: dict[str, float]) -> None:
    row, each = {"our /healthz": {"16": {"cpu_ms": 0.1}}}, design.Request(1.1, 0, 0)
    table = design.catalog_table(row, each, 10_000, {"requests": 1000}, assumed)
    cells = [line.split(" | ") for line in table.splitlines()[2:]]
    assert [row[1] for row in cells] == ["1.1", "10.1", "100.1"]
    assert [re.sub(r"\D", "", row[-1]) for row in cells] == ["08", "80", "8000"]


@pytest.mark.parametrize(("value", "written"), [(0.0002, "0.0002"), (6.24, "6.2"), (12.4, "12"), (4629.6, "4,630")])
def test_sizes_are_short(design: ModuleType, value: float, written: str) -> None:
    assert design._short(value) == written


def test_machines_and_people_are_added_up(design: ModuleType, assumed: dict[str, float]) -> None:
    stated = assumed | {"person_month": 1000.0}
    each = design.Request(1.0, 0, 0)
    table = design.costs_table({"a": each, "b": each}, {"a": {"requests": 1}, "b": {"requests": 1}}, stated, [1] * 4)
    scale, machines, *_, people, share = table.splitlines()[2].strip("| ").split(" | ")
    expected = 2 * design.needed(1, each, assumed).serving
    assert (scale, machines, people) == ("1", f"${expected:,.0f}", "$1,000")
    assert share == f"{expected / (expected + 1000):.0%}".replace("%", " %")
