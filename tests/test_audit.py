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
    holes = [{"id": "CVE-1", "fix_versions": ["2.6"]}, {"id": "CVE-2", "fix_versions": []}]
    assert audit.main([], pip_audit({"2.5.5": {"vulns": holes}, "312": {"vulns": holes[:1]}})) == 1
    assert capsys.readouterr().out.splitlines() == [
        "pywin32 312: CVE-1, mended in 2.6",
        "numpy 2.5.5: CVE-1, mended in 2.6",
        "numpy 2.5.5: CVE-2, mended in no version",
        "2 packages audited, 3 known holes",
    ]


def test_nothing_found_is_said_and_is_no_error(pip_audit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main([], pip_audit({})) == 0
    assert capsys.readouterr().out == "2 packages audited, 0 known holes\n"


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
    assert capsys.readouterr().err == "Nothing was audited: pip-audit cannot have its data here (ERROR: no such host)\n"


def test_a_package_that_pip_audit_leaves_out_is_not_taken_for_a_good_one(
    pip_audit: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main([], pip_audit({"312": {"skip_reason": "not found"}})) == audit.NO_DATA
    assert "(pywin32: not found)" in capsys.readouterr().err
