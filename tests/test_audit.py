"""What `make audit` says of what pip-audit says; a program that prints an answer stands in for it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import audit

LOCK = """# made by
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aa
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:bb
pywin32==312 ; sys_platform == 'win32' \\
    --hash=sha256:cc
"""


@pytest.fixture
def pip_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function: what pip-audit finds in a package of this version -> a command in its place."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/one.lock").write_text(LOCK, encoding="utf-8")
    (tmp_path / "requirements/two.lock").write_text("numpy==2.4.6 \\\n    --hash=sha256:aa\n", encoding="utf-8")
    monkeypatch.setattr(audit, "ROOT", tmp_path)

    def command(found: dict[str, Any]) -> list[str]:
        program = tmp_path / "pip_audit.py"
        program.write_text(
            "import json, pathlib, sys\n"
            f"found = json.loads({json.dumps(found)!r})\n"
            "pins = [line.split('==') for line in pathlib.Path(sys.argv[-1]).read_text().split()]\n"
            "known = [{'name': n, 'version': v, **found.get(v, {'vulns': []})} for n, v in pins]\n"
            "print(json.dumps({'dependencies': known}))\n",
            encoding="utf-8",
        )
        return [sys.executable, str(program)]

    return command


def test_every_version_of_every_lock_is_asked_whatever_system_it_is_for(
    pip_audit: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    known = [{"id": "CVE-1", "fix_versions": ["2.6"]}, {"id": "CVE-2", "fix_versions": []}]
    assert audit.main([], pip_audit({"2.5.5": {"vulns": known}, "312": {"vulns": known[:1]}})) == 1
    assert capsys.readouterr().out.splitlines() == [
        "pywin32 312: CVE-1, fixed in 2.6",
        "numpy 2.5.5: CVE-1, fixed in 2.6",
        "numpy 2.5.5: CVE-2, fixed in no version",
        "2 packages asked about, 3 known vulnerabilities",
    ]


def test_nothing_found_is_said_and_is_no_error(pip_audit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main([], pip_audit({})) == 0
    assert capsys.readouterr().out == "2 packages asked about, 0 known vulnerabilities\n"


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit('INFO: trying\\nERROR: no such host')",
        "import sys; print('{}'); sys.exit('ERROR: no such host')",
    ],
)
def test_where_there_are_no_data_nothing_was_audited(
    pip_audit: Any, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    pip_audit({})
    assert audit.main([], [sys.executable, "-c", code]) == audit.NO_DATA
    out, err = capsys.readouterr()
    assert out == "2 packages asked about, 0 known vulnerabilities\n"
    assert err == "Not audited: 2 packages (ERROR: no such host); 1 packages (ERROR: no such host)\n"


@pytest.mark.parametrize(("vulns", "status"), [([], audit.NO_DATA), ([{"id": "CVE-1", "fix_versions": []}], 1)])
def test_what_pip_audit_leaves_out_is_named_and_hides_nothing_of_what_it_found(
    pip_audit: Any, capsys: pytest.CaptureFixture[str], vulns: list[Any], status: int
) -> None:
    command = pip_audit({"312": {"skip_reason": "not found"}, "2.4.6": {"vulns": vulns}})
    assert audit.main([], command) == status
    out, err = capsys.readouterr()
    assert ("numpy 2.4.6: CVE-1, fixed in no version" in out) == bool(vulns)
    assert f"2 packages asked about, {len(vulns)} known" in out
    assert err == "Not audited: pywin32 (not found)\n"


def test_a_repository_without_locks_is_not_taken_for_a_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    assert audit.main([]) == audit.NO_DATA
    assert "there is no requirements/*.lock" in capsys.readouterr().err
