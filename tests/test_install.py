"""Where torch comes from: the choice, the order of what is installed, and what follows where an index is away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import install

LOCK = """\
torch==2.15.0 \\
    --hash=sha256:aa
nvidia-cublas==13.4.1.3 ; sys_platform == 'linux' \\
    --hash=sha256:bb
numpy==2.4.6 \\
    --hash=sha256:cc
torchvision==0.29.2 \\
    --hash=sha256:dd
"""
SYNC = ["pip", "sync", "--require-hashes", "--no-build"]


class Machine:
    """What stands in for uv, the GPU and what is installed: it records each call with the files it was given."""

    def __init__(self, *, gpu: bool = False, has_index: bool = True, installed: str = "") -> None:
        self.gpu, self.has_index, self.installed = gpu, has_index, installed
        self.calls: list[tuple[list[str], str]] = []

    def uv(self, *arguments: str, **_: object) -> None:
        if "--torch-backend" in arguments and not self.has_index:
            raise subprocess.CalledProcessError(2, "uv")
        if "--dry-run" not in arguments:
            *options, path = arguments
            self.calls.append((options, Path(path).read_text(encoding="utf-8")))

    def version(self, name: str) -> str:
        if not self.installed:
            raise install.importlib.metadata.PackageNotFoundError(name)
        return {"torch": "2.15.0", "torchvision": "0.29.2"}[name] + self.installed


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a function that installs the lock on a machine."""
    lock = tmp_path / "dev.lock"
    lock.write_text(LOCK, encoding="utf-8")

    def run(machine: Machine, backend: str, text: str = LOCK) -> list[tuple[list[str], str]]:
        lock.write_text(text, encoding="utf-8")
        monkeypatch.setattr(install, "uv", machine.uv)
        monkeypatch.setattr(install, "has_gpu", lambda: machine.gpu)
        monkeypatch.setattr(install.importlib.metadata, "version", machine.version)
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(sys, "argv", ["install.py", str(lock), backend])
        install.main()
        return machine.calls

    return run


OTHERS = "numpy==2.4.6 \\\n    --hash=sha256:cc\n"
PINS = "torch==2.15.0\ntorchvision==0.29.2\n"
WHOLE = [(SYNC, LOCK)]
CPU = [(SYNC, OTHERS), (["pip", "install", "--torch-backend", "cpu", "-r"], PINS)]


@pytest.mark.parametrize(
    ("machine", "backend", "calls", "line"),
    [
        (Machine(), "auto", CPU, "torch: the CPU build, since there is no NVIDIA GPU"),
        (Machine(gpu=True), "auto", WHOLE, "torch: from the package index, with 4 GB of CUDA libraries for the GPU"),
        (Machine(has_index=False), "auto", WHOLE, "PyTorch's index of CPU builds does not answer"),
        (Machine(), "", WHOLE, "torch: from the package index\n"),
        (Machine(gpu=True), "cpu", CPU, "torch: the build 'cpu' of PyTorch's index"),
        # Without CUDA's libraries in the lock's versions: the other build may need others.
        (
            Machine(),
            "cu130",
            [CPU[0], (["pip", "install", "--torch-backend", "cu130", "-r"], PINS)],
            "torch: the build 'cu130'",
        ),
        # The build that is there needs no index, and is not replaced by 4 GB while that is away.
        (
            Machine(has_index=False, installed="+cpu"),
            "auto",
            [(["pip", "install", "--require-hashes", "--no-build", "--no-deps", "-r"], OTHERS)],
            "torch: the CPU build, which is there",
        ),
        # To uv the CPU build is the lock's version too: it goes first.
        (Machine(installed="+cpu"), "", [CPU[0], *WHOLE], "torch: from the package index\n"),
        (Machine(gpu=True, installed="+cpu"), "auto", [CPU[0], *WHOLE], "torch: from the package index, with 4 GB"),
        # Another torch goes first, or else uv would take it for what is asked.
        (Machine(installed="+cu130"), "auto", CPU, "torch: the CPU build, since"),
        (Machine(installed=""), "auto", CPU, "torch: the CPU build, since"),
    ],
)
def test_torch_comes_from_where_it_is_small_and_can_be_had(made, capsys, machine, backend, calls, line):  # noqa: PLR0917
    assert made(machine, backend) == calls
    assert line in capsys.readouterr().out


def test_a_lock_without_torch_asks_no_index(made, capsys):
    assert made(Machine(has_index=False), "auto", OTHERS) == [(SYNC, OTHERS)]
    assert capsys.readouterr().out == ""


def test_a_build_that_was_asked_for_is_not_replaced_by_another(made):
    with pytest.raises(subprocess.CalledProcessError):
        made(Machine(has_index=False), "cpu")


def test_an_index_that_goes_away_after_it_answered_is_done_without(made, capsys):
    machine = Machine()
    answered = machine.uv

    def uv(*arguments: str, **options: object) -> None:
        machine.has_index = "--dry-run" in arguments
        answered(*arguments, **options)

    machine.uv = uv
    assert made(machine, "auto") == [CPU[0], *WHOLE]
    assert "from the package index after all" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["exit 2", "exec sleep 60"])
def test_an_index_that_fails_or_hangs_does_not_answer(monkeypatch, tmp_path, ending):
    stub = tmp_path / "uv"
    stub.write_text(f'#!/bin/sh\nenv >"{tmp_path}/env"\n{ending}\n', encoding="utf-8")
    stub.chmod(0o755)
    monkeypatch.setattr(install, "UV", str(stub))
    monkeypatch.setattr(install, "ALL_IN_ALL", 0.5)
    assert not install.answers(["torch==2.15.0"])
    assert {"UV_HTTP_TIMEOUT=3", "UV_HTTP_CONNECT_TIMEOUT=3", "UV_HTTP_RETRIES=0"} <= set(
        (tmp_path / "env").read_text(encoding="utf-8").split()
    )


def test_a_failure_of_uv_is_one_line(tmp_path):
    lock = tmp_path / "no.lock"
    lock.write_text("no-such-package-of-ours==1.0 --hash=sha256:" + "0" * 64 + "\n", encoding="utf-8")
    script = install.ROOT / "scripts" / "install.py"
    command = [sys.executable, str(script), str(lock), "auto"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "UV_OFFLINE": "1"})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"uv ended with 1, and says above why: {lock} is not installed"
    assert "Traceback" not in done.stderr
