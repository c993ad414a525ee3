"""The gate: who replaces whom, and what happens to those who do not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import pytest

from portfolio_shared.bundle import BundleError
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison
from portfolio_shared.serving.registry_client import RegisteredVersion
from portfolio_shared.tracking import gate
from portfolio_shared.tracking.gate import pass_gate
from portfolio_shared.tracking.registry import GateDecision

URI = "http://127.0.0.1:1"
SPLIT = "5" * 64
BETTER = PairedComparison(Interval(-0.02, -0.03, -0.01), probability_better=1.0, n=500)
WORSE = PairedComparison(Interval(0.02, 0.01, 0.03), probability_better=0.0, n=500)
UNSURE = PairedComparison(Interval(-0.01, -0.02, 0.0), probability_better=0.97, n=500)


def version(number: str, data_source: str) -> RegisteredVersion:
    return RegisteredVersion("toy", number, f"run-{number}", number * 64, data_source)


@dataclass
class FakeRegistry:
    """What the gate asks of the registry; `calls` is what it told it."""

    champion: RegisteredVersion | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    downloaded: list[Path] = field(default_factory=list)
    test_split_sha256: str = SPLIT
    labels: tuple[str, ...] = ()

    def __call__(self, tracking_uri: str) -> "FakeRegistry":
        assert tracking_uri == URI
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        pass

    def alias(self, name: str, alias: str) -> RegisteredVersion | None:
        assert (name, alias) == ("toy", "champion")
        return self.champion

    def download_bundle(self, version: RegisteredVersion, into: Path) -> None:
        assert version == self.champion
        into.mkdir()
        self.downloaded.append(into)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        def record(call: str) -> Callable[..., None]:
            def note(version: RegisteredVersion, decision: GateDecision, *, tracking_uri: str) -> None:
                assert tracking_uri == URI
                self.calls.append((call, version.version))

            return note

        patch.setattr(gate, "RegistryClient", self)
        patch.setattr(gate, "read_manifest", lambda _: manifest(self.test_split_sha256, self.labels))
        patch.setattr(gate, "promote", record("promote"))
        patch.setattr(gate, "mark_challenger", record("challenger"))


def manifest(test_split_sha256: str = SPLIT, labels: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(data=SimpleNamespace(test_split_sha256=test_split_sha256), labels=labels)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    fake = FakeRegistry()
    fake.install(monkeypatch)
    return fake


def folder_itself(folder: Path) -> Path:
    return folder


def passed(new: RegisteredVersion, compare: Callable[[Path], PairedComparison]) -> GateDecision:
    return pass_gate(new, folder_itself, compare, manifest=manifest(), tracking_uri=URI)


def never(_: Path) -> PairedComparison:
    raise AssertionError("there is nothing to compare with")


@pytest.mark.parametrize("data_source", ["sample", "full", "path"])
def test_the_first_version_is_champion_without_a_comparison(registry: FakeRegistry, data_source: str) -> None:
    decision = passed(version("1", data_source), never)

    assert decision.promote
    assert registry.calls == [("promote", "1")]


@pytest.mark.parametrize(
    ("comparison", "call"),
    [(BETTER, "promote"), (WORSE, "challenger"), (UNSURE, "challenger")],
    ids=["better", "worse", "unsure"],
)
def test_only_a_proven_improvement_replaces_the_champion(
    registry: FakeRegistry, comparison: PairedComparison, call: str
) -> None:
    registry.champion = version("1", "full")

    decision = pass_gate(
        version("2", "full"), folder_itself, lambda _: comparison, manifest=manifest(), tracking_uri=URI
    )

    assert registry.calls == [(call, "2")]
    assert decision.comparison is comparison
    assert "on 500 rows" in decision.reason


def test_the_comparison_gets_the_champions_folder_which_is_gone_afterwards(registry: FakeRegistry) -> None:
    registry.champion = version("1", "full")
    seen: list[tuple[Path, bool]] = []

    def compare(folder: Path) -> PairedComparison:
        seen.append((folder, folder.is_dir()))
        return WORSE

    passed(version("2", "full"), compare)

    ((folder, was_there),) = seen
    assert was_there
    assert registry.downloaded == [folder]
    assert not folder.exists()


@pytest.mark.parametrize("real", ["full", "path"])
def test_generated_data_never_replace_real_data(registry: FakeRegistry, real: str) -> None:
    registry.champion = version("1", real)

    decision = passed(version("2", "sample"), never)

    assert not decision.promote
    assert registry.calls == [("challenger", "2")]
    assert registry.downloaded == []
    assert "generated data" in decision.reason
    assert "version 1" in decision.reason


@pytest.mark.parametrize(
    ("champion", "challenger"), [("sample", "sample"), ("sample", "full"), ("sample", "path"), ("full", "path")]
)
def test_every_other_pair_is_compared(registry: FakeRegistry, champion: str, challenger: str) -> None:
    registry.champion = version("1", champion)

    assert pass_gate(
        version("2", challenger), folder_itself, lambda _: BETTER, manifest=manifest(), tracking_uri=URI
    ).promote
    assert not pass_gate(
        version("3", challenger), folder_itself, lambda _: WORSE, manifest=manifest(), tracking_uri=URI
    ).promote
    assert registry.calls == [("promote", "2"), ("challenger", "3")]


def test_a_comparison_that_fails_moves_no_alias(registry: FakeRegistry) -> None:
    registry.champion = version("1", "full")

    def fail(_: Path) -> PairedComparison:
        raise ValueError("the champion cannot read these houses")

    with pytest.raises(ValueError, match="cannot read"):
        passed(version("2", "full"), fail)

    assert registry.calls == []


@pytest.mark.parametrize(
    "error",
    [
        BundleError("expected format_version 2, found 1"),
        FileNotFoundError("scale.npz"),
        KeyError("bands"),
        ValueError("shape"),
    ],
)
def test_a_champion_that_no_code_of_today_can_read_does_not_bar_the_way(
    registry: FakeRegistry, error: Exception
) -> None:
    registry.champion = version("1", "full")

    def fail(_: Path) -> Path:
        raise error

    decision = pass_gate(version("2", "full"), fail, never, manifest=manifest(), tracking_uri=URI)

    assert registry.calls == [("promote", "2")]
    assert "version 1" in decision.reason
    assert "cannot be compared" in decision.reason


def test_a_champion_that_names_other_labels_gives_way(registry: FakeRegistry) -> None:
    registry.champion, registry.labels = version("1", "path"), ("cat", "dog")

    decision = passed(version("2", "path"), never)

    assert registry.calls == [("promote", "2")]
    assert "it names cat, dog" in decision.reason


@pytest.mark.parametrize(("source", "noted"), [("full", True), ("sample", False)])
def test_a_champion_that_was_tested_on_other_rows_is_noted(registry: FakeRegistry, source: str, noted: bool) -> None:
    """It may have learned from rows of this test; a champion of generated data cannot have."""
    registry.champion, registry.test_split_sha256 = version("1", source), "6" * 64

    decision = pass_gate(version("2", "full"), folder_itself, lambda _: WORSE, manifest=manifest(), tracking_uri=URI)

    assert ("tested on other rows" in decision.reason) is noted
    assert registry.calls == [("challenger", "2")]
