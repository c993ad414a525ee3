"""The gate: who replaces whom, and what happens to those who do not."""

import re
from functools import partial
from types import SimpleNamespace

import pytest

from portfolio_shared.bundle import BundleError
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison
from portfolio_shared.serving.registry_client import BundleMissingError, RegisteredVersion, RegistryUnavailable
from portfolio_shared.tracking import gate
from portfolio_shared.tracking.gate import pass_gate
from portfolio_shared.tracking.registry import RegistryError, decide

URI = "http://127.0.0.1:1"
SPLIT = "5" * 64
DATA = "d" * 64
BETTER = PairedComparison(Interval(-0.02, -0.03, -0.01), probability_better=1.0, n=500)
WORSE = PairedComparison(Interval(0.02, 0.01, 0.03), probability_better=0.0, n=500)
UNSURE = PairedComparison(Interval(-0.01, -0.02, 0.0), probability_better=0.97, n=500)


def manifest(test_split_sha256=SPLIT, labels=()):
    return SimpleNamespace(data=SimpleNamespace(test_split_sha256=test_split_sha256), labels=labels)


class FakeRegistry:
    """What the gate asks of the registry; `calls` is what the gate changed in it."""

    def __init__(self, monkeypatch):
        self.champion, self.data_sha256, self.manifest, self.number = None, DATA, manifest(), "1"
        self.calls, self.downloaded, self.away = [], [], None
        monkeypatch.setattr(gate, "RegistryClient", self)
        monkeypatch.setattr(gate, "champion_of", lambda name, uri: self(uri).alias(name, "champion"))
        for outcome in gate.MOVES:
            move = partial(lambda outcome, version, *_, **__: self.calls.append((outcome, version.version)), outcome)
            monkeypatch.setitem(gate.MOVES, outcome, move)

    def __call__(self, tracking_uri):
        assert tracking_uri == URI
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def alias(self, name, alias):
        assert (name, alias) == ("toy", "champion")
        return self.champion and RegisteredVersion(
            "toy", self.number, "run-1", "1" * 64, self.champion, self.data_sha256
        )

    def download_bundle(self, version, into):
        if self.away:
            raise self.away
        into.mkdir()
        self.downloaded.append(into)
        return self.manifest


@pytest.fixture
def registry(monkeypatch):
    return FakeRegistry(monkeypatch)


def never(_):
    raise AssertionError("there is nothing to compare with")


def passed(data_source, compare, *, load=lambda folder: folder, **options):
    version = RegisteredVersion("toy", "2", "run-2", "2" * 64, data_source, DATA)
    options = {"manifest": manifest(), "tracking_uri": URI, **options}
    return pass_gate(version, load, lambda champion: decide(compare(champion)), **options)


@pytest.mark.parametrize("data_source", ["sample", "full", "path"])
@pytest.mark.parametrize("may_promote", [True, False])
def test_the_first_version_is_champion_without_a_comparison(registry, data_source, *, may_promote):
    assert passed(data_source, never, may_promote=may_promote).outcome == "promoted"
    assert registry.calls == [("promoted", "2")]


@pytest.mark.parametrize(
    ("champion", "challenger"), [("full", "full"), ("sample", "sample"), ("full", "path"), ("path", "full")]
)
@pytest.mark.parametrize(
    ("comparison", "call"), [(BETTER, "promoted"), (WORSE, "refused"), (UNSURE, "waiting")], ids=str
)
def test_only_a_proven_improvement_replaces_the_champion(registry, champion, challenger, comparison, call):
    registry.champion = champion
    decision = passed(challenger, lambda _: comparison)
    assert registry.calls == [(call, "2")]
    assert "on 500 rows" in decision.reason


@pytest.mark.parametrize(
    ("comparison", "outcome"), [(BETTER, "waiting"), (WORSE, "refused"), (UNSURE, "waiting")], ids=str
)
def test_without_leave_to_promote_a_better_model_waits_for_a_person(registry, comparison, outcome):
    registry.champion = "full"
    decision = passed("full", lambda _: comparison, may_promote=False)
    assert decision.outcome == outcome
    assert decision.reason.startswith("passed, and a person promotes it: better") is (comparison is BETTER)
    assert registry.calls == [(outcome, "2")]


@pytest.mark.parametrize(
    "away",
    [
        RegistryUnavailable("no answer from http://127.0.0.1:1"),
        BundleMissingError("model.onnx: missing in the artifact store"),
        OSError(28, "No space left on device"),
    ],
    ids=repr,
)
def test_a_champion_that_cannot_be_downloaded_moves_no_alias(registry, away):
    registry.champion, registry.away = "full", away
    expected = f"version 1.* cannot be downloaded.*{re.escape(str(away))}.*toy version 2 is registered and has no alias"
    with pytest.raises(RegistryError, match=expected):
        passed("full", never)
    assert registry.calls == []


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), PermissionError(13, "denied")], ids=repr)
def test_what_this_machine_cannot_open_says_nothing_of_the_champion(registry, error):
    def fail(_):
        raise error

    registry.champion = "full"
    with pytest.raises(RegistryError, match=rf"version 1\) cannot be opened here.*{re.escape(str(error))}"):
        passed("full", never, load=fail)
    assert registry.calls == []


@pytest.mark.parametrize("comparison", [BETTER, WORSE, UNSURE], ids=str)
def test_a_champion_that_came_meanwhile_was_not_compared_with(registry, comparison):
    def meanwhile(_):
        registry.number = "3"
        return comparison

    registry.champion = "full"
    with pytest.raises(RegistryError, match="champion was version 1 before the comparison, and is version 3 now; toy"):
        passed("full", meanwhile)
    assert registry.calls == []


@pytest.mark.parametrize("why", ["other sample", "other labels", "no bundle of today"])
def test_what_feedback_has_taught_never_replaces_what_it_was_not_compared_with(registry, why):
    registry.champion = "sample" if why == "other sample" else "full"
    registry.data_sha256 = "e" * 64
    registry.manifest = manifest(labels=("cat",) if why == "other labels" else ())
    registry.away = BundleError("expected format_version 2, found 1") if why == "no bundle of today" else None
    assert passed("full", never, uncompared="waiting").outcome == "waiting"
    assert registry.calls == [("waiting", "2")]


def test_the_comparison_gets_the_champions_folder_which_is_gone_afterwards(registry):
    registry.champion = "full"
    passed("full", lambda folder: WORSE if folder.is_dir() else BETTER)
    assert registry.calls == [("refused", "2")]
    (folder,) = registry.downloaded
    assert not folder.exists()


@pytest.mark.parametrize("real", ["full", "path"])
def test_a_model_of_the_sample_never_replaces_one_of_more_data(registry, real):
    registry.champion = real
    decision = passed("sample", never)
    assert registry.calls == [("refused", "2")]
    assert registry.downloaded == []
    assert decision.reason == f"trained on the sample, and the champion (version 1) on {real} data"


@pytest.mark.parametrize(
    ("champion", "challenger", "outcome"), [("full", "sample", "refused"), ("sample", "full", "waiting")]
)
def test_the_rules_of_samples_hold_for_what_feedback_has_taught(registry, champion, challenger, outcome):
    registry.champion, registry.data_sha256 = champion, "e" * 64
    assert passed(challenger, never, may_promote=False).outcome == outcome
    assert registry.calls == [(outcome, "2")]


@pytest.mark.parametrize("earlier", ["", "e" * 64], ids=["untagged", "another"])
@pytest.mark.parametrize("data_source", ["sample", "full", "path"])
def test_a_champion_of_a_sample_gives_way_to_a_model_of_other_data(registry, data_source, earlier):
    registry.champion, registry.data_sha256 = "sample", earlier
    decision = passed(data_source, never)
    assert registry.calls == [("promoted", "2")]
    assert registry.downloaded == []
    assert "other data than the sample that the champion (version 1) learned from" in decision.reason


def test_a_comparison_that_fails_moves_no_alias(registry):
    def fail(_):
        raise ValueError("the champion cannot read these houses")

    registry.champion = "full"
    with pytest.raises(ValueError, match="cannot read"):
        passed("full", fail)
    assert registry.calls == []


@pytest.mark.parametrize(
    "error", [BundleError("expected format_version 2, found 1"), FileNotFoundError("scale.npz"), KeyError("bands")]
)
def test_a_champion_that_no_code_of_today_can_read_does_not_bar_the_way(registry, error):
    def fail(_):
        raise error

    registry.champion = "full"
    decision = passed("full", never, load=fail)
    assert registry.calls == [("promoted", "2")]
    assert "the champion (version 1) cannot be compared" in decision.reason


def test_a_champion_that_is_damaged_in_the_store_does_not_bar_the_way(registry):
    registry.champion, registry.away = "full", BundleError("expected sha256 1, found 2")
    assert passed("full", never).reason.endswith("cannot be compared with: expected sha256 1, found 2")
    assert registry.calls == [("promoted", "2")]


def test_a_champion_that_names_other_labels_gives_way(registry):
    registry.champion, registry.manifest = "path", manifest(labels=("cat", "dog"))
    decision = passed("path", never)
    assert registry.calls == [("promoted", "2")]
    assert "it names cat, dog" in decision.reason


@pytest.mark.parametrize(("split", "noted"), [(SPLIT, False), ("6" * 64, True)])
def test_a_champion_that_was_tested_on_other_rows_is_noted(registry, split, noted):
    """It may have learned from rows of this test."""
    registry.champion, registry.manifest = "full", manifest(split)
    decision = passed("full", lambda _: WORSE)
    assert ("tested on other rows" in decision.reason) is noted
    assert registry.calls == [("refused", "2")]
