import re

import pytest

from portfolio_shared.bundle import BundleError, write_bundle
from portfolio_shared.operations.monitor import bundle_of, monitor
from portfolio_shared.serving.registry_client import RegistryUnavailable


@pytest.fixture
def other(tmp_path, toy_manifest):
    """A bundle that did not answer, and has no reference."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "weights.txt").write_text("1", encoding="utf-8")
    write_bundle(folder, toy_manifest())
    return folder


@pytest.mark.parametrize(
    ("bundle", "message"),
    [
        ("foreign", "expected a bundle of 'toy', found 'other'"),
        ("changed", "is version [0-9a-f]{12}, and [0-9a-f]{12} is looked at"),
        ("old", "has no reference to compare with: train again"),
        (None, "was served from a folder: name it by --bundle"),
    ],
)
def test_a_bundle_that_is_not_the_one_is_named(toy, toy_manifest, other, bundle, message):
    if bundle == "foreign":
        write_bundle(other, toy_manifest(project="other"))
    toy.predicted(toy.things(1, seed=1))
    if bundle in ("foreign", "old"):
        toy.predicted(toy.things(2, seed=1), name="q", version="7")
    with pytest.raises(BundleError, match=message):
        toy.look(bundle=other if bundle else None)


@pytest.mark.parametrize(
    ("published", "message"),
    [("same", ""), ("other", "is not version 7, whose digest is"), ("none", "has no version 7"), ("away", "no answer")],
)
def test_a_given_bundle_is_compared_with_the_registry(toy, other, fake_registry, unused_uri, *, published, message):
    """Where the registry does not answer, that is said, and the bundle is taken on trust."""
    if published in ("same", "other"):
        fake_registry.publish("7", toy.bundle if published == "same" else other)
    toy.predicted(toy.things(1, seed=1), version="7")
    registry = unused_uri if published == "away" else fake_registry.uri
    if published in ("other", "none"):
        with pytest.raises(BundleError, match=message):
            toy.look(registry=registry)
    else:
        assert re.match(message or "$", toy.look(registry=registry).on_trust)


def test_a_bundle_that_is_taken_on_trust_is_said_to_be(toy, capsys):
    toy.predicted(toy.things(1, seed=1), version="7", ago=5)
    monitor(toy.watch, toy.plan())
    assert "The bundle is taken on trust: no registry was asked." in capsys.readouterr().err
    assert "taken on trust: no registry was asked" in (toy.folder / "monitor" / "report.html").read_text()


def test_a_digest_of_digits_is_not_a_version_of_the_registry(toy, monkeypatch):
    monkeypatch.setattr("portfolio_shared.operations.monitor.bundle_digest", lambda folder: "1234567890123456")
    assert bundle_of(toy.plan(), "123456789012") == (toy.bundle, "")
    with pytest.raises(BundleError, match="is version 123456789012, and 210987654321 is looked at"):
        bundle_of(toy.plan(), "210987654321")


def test_the_bundle_of_a_version_comes_from_the_registry_and_stays(toy, fake_registry, unused_uri):
    fake_registry.publish("3", toy.bundle)
    fake_registry.publish("4", toy.bundle)
    toy.predicted(toy.things(100, seed=8), version="3")
    assert toy.look(bundle=None, registry=fake_registry.uri).verdict == "well"
    assert {name.partition("/")[0] for name in fake_registry.downloads} == {"3"}
    downloads = len(fake_registry.downloads)
    for registry in (fake_registry.uri, unused_uri):  # an outage as well
        assert toy.look(bundle=None, registry=registry).verdict == "well"
    assert len(fake_registry.downloads) == downloads
    toy.predicted(toy.things(200, seed=8), version="4", name="newer")
    with pytest.raises(RegistryUnavailable):
        toy.look(bundle=None, registry=unused_uri)
    toy.predicted(toy.things(300, seed=8), version="5", name="newest")
    with pytest.raises(BundleError, match="has no version 5 of 'toy'"):
        toy.look(bundle=None, registry=fake_registry.uri)
