"""Every project's commands on machines unlike ours: another encoding, caches that cannot be written, proxies, pipes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from project_table import Project

pytestmark = pytest.mark.slow

NOWHERE = "/dev/null/nowhere"
MACHINE = {
    "LC_ALL": "C",
    **dict.fromkeys(("PYTHONUTF8", "PYTHONCOERCECLOCALE"), "0"),
    "PYTHONIOENCODING": "ascii",
    **dict.fromkeys(("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "PORTFOLIO_DATA_DIR"), NOWHERE),
    **dict.fromkeys(("HTTP_PROXY", "https_proxy", "ALL_PROXY"), "socks5://u:s3cret@127.0.0.1:9"),
    **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), f"{NOWHERE}.pem"),
}


def command(project: Project, *arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name(project.name)), *arguments]


@pytest.mark.long
def test_what_ships_is_read_with_nothing_but_the_working_directory(project: Project, tmp_path: Path) -> None:
    """The name of the folder is one that no encoding of the locale has."""
    folder = tmp_path / "Le\u0301on \u5bb6"
    folder.mkdir()
    done = subprocess.run(
        command(project, "data", "--data", "auto"),
        cwd=folder,
        env=os.environ | MACHINE,
        capture_output=True,
        check=False,
    )
    printed, errors = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    assert done.returncode == 0, errors
    assert "which ship with the package" in " ".join(printed.split())
    assert "Traceback" not in errors
    assert "s3cret" not in printed + errors
    assert [path.name for path in folder.iterdir()] in ([], [".state"])


def test_what_nobody_reads_ends_in_silence(project: Project, tmp_path: Path) -> None:
    words = command(project, "--help")
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 141


@pytest.mark.long
def test_a_server_that_a_proxy_would_have_to_reach_is_one_line(project: Project, tmp_path: Path) -> None:
    words = command(project, "rollback", "--tracking-uri", "http://u:s3cret@mlflow.example.org:5500")
    done = subprocess.run(words, cwd=tmp_path, env=os.environ | MACHINE, capture_output=True, check=False, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"{project.name} rollback: http://***@mlflow.example.org:5500 cannot be asked: HTTP_PROXY=socks5://***@"
    )
    assert "pip install socksio PySocks`, or unset HTTP_PROXY" in done.stderr
    assert done.stderr.count("\n") == 1
