"""The drill's story as a whole, with houses: in processes, with and without a change, and stopped in between."""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
from leftovers import leftovers

import drill

CLAIM = re.compile(r"^ok +[\d.]+ s  ([^:]+): ", re.MULTILINE)


def drilling(folder: Path, *flags: str) -> SimpleNamespace:
    """Start the drill of houses with a temporary folder of its own, so that what it leaves is seen."""
    mark = uuid.uuid4().hex
    (folder / "scratch").mkdir()
    environment = os.environ | {"TMPDIR": str(folder / "scratch"), "DRILL_MARK": mark}
    command = [sys.executable, drill.__file__, "housing", "--output", str(folder / "page"), *flags]
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    return SimpleNamespace(process=process, output=lambda: (folder / "out").read_text(encoding="utf-8"), mark=mark)


def require_nothing_left(folder: Path, mark: str) -> None:
    assert leftovers(mark) == []
    assert list((folder / "scratch").glob("drill-*")) == []


@pytest.mark.long
@pytest.mark.parametrize("flag", ["", "--no-drift"])
def test_the_story_of_houses(tmp_path: Path, flag: str) -> None:
    running = drilling(tmp_path, *filter(None, [flag]))
    try:
        assert running.process.wait(timeout=500) == 0, running.output()
    finally:
        running.process.terminate()
    output = running.output()
    assert CLAIM.findall(output) == [
        claim for claim, _ in (*drill.BEFORE, *(drill.NO_CHANGE if flag else drill.CHANGE))
    ]
    page = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert page.count('<svg class="drill"') == 1
    assert ("What the monitor saw" in page) == (not flag)
    require_nothing_left(tmp_path, running.mark)


@pytest.mark.long
def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    running = drilling(tmp_path)
    try:
        deadline = time.monotonic() + 120
        while not any(" train " in command for command in leftovers(running.mark)):
            assert running.process.poll() is None, running.output()
            assert time.monotonic() < deadline, running.output()
            time.sleep(0.1)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(timeout=60) == 130, running.output()
    finally:
        running.process.kill()
    require_nothing_left(tmp_path, running.mark)
