"""Ask pip-audit whether a version that a lock pins has a known vulnerability; flags are passed on to it.

Ends with 1 if one has, else with 3 where the data about some version cannot be had, else with 0.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from project_table import ROOT

PIP_AUDIT = (sys.executable, "-m", "pip_audit")
OPTIONS = ("--vulnerability-service=osv", "--format=json", "--progress-spinner=off", "--no-deps", "--disable-pip")
NO_DATA = 3


class NoDataError(RuntimeError):
    """pip-audit has no answer; the message is the last that pip-audit said."""


def pins(locks: Iterable[Path]) -> dict[str, list[str]]:
    """Return each package's versions, of all systems and Pythons that the locks are for."""
    found: dict[str, set[str]] = {}
    for lock in locks:
        for line in lock.read_text(encoding="utf-8").splitlines():
            if "==" in line and not line.startswith((" ", "#")):
                pin = Requirement(line.rstrip(" \\"))
                found.setdefault(pin.name, set()).update(each.version for each in pin.specifier)
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def vulnerabilities(
    versions: dict[str, list[str]], pip_audit: Sequence[str] = PIP_AUDIT
) -> tuple[list[str], list[str]]:
    """Return a line for each known vulnerability, and what could not be asked with the reason."""
    found, missed = [], [] if versions else ["there is no requirements/*.lock"]
    for turn in range(max(map(len, versions.values()), default=0)):  # a file of requirements has each package once
        listed = [f"{name}=={each[turn]}" for name, each in versions.items() if turn < len(each)]
        try:
            answer = _ask(listed, pip_audit)
        except NoDataError as error:
            missed.append(f"{len(listed)} packages ({error})")
            continue
        for package in answer:
            if "skip_reason" in package:
                missed.append(f"{package['name']} ({package['skip_reason']})")
            for each in package.get("vulns", ()):
                fixed = ", ".join(each["fix_versions"]) or "no version"
                found.append(f"{package['name']} {package['version']}: {each['id']}, fixed in {fixed}")
    return found, missed


def _ask(listed: Sequence[str], pip_audit: Sequence[str]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "requirements.txt")
        file.write_text("\n".join(listed), encoding="utf-8")
        done = subprocess.run([*pip_audit, *OPTIONS, "-r", str(file)], capture_output=True, text=True, check=False)
    try:
        answer: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError) as error:
        raise NoDataError(done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}") from error
    return answer


def main(flags: Sequence[str], pip_audit: Sequence[str] = PIP_AUDIT) -> int:
    """Print what is known of all locks, and return the exit status."""
    versions = pins((ROOT / "requirements").glob("*.lock"))
    found, missed = vulnerabilities(versions, [*pip_audit, *flags])
    print("\n".join([*found, f"{len(versions)} packages asked about, {len(found)} known vulnerabilities"]))
    if missed:
        print(f"Not audited: {'; '.join(missed)}", file=sys.stderr)
    return 1 if found else NO_DATA if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
