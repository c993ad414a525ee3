"""Lines in, lines out: what each gets, what is refused, and that nothing waits for the end."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field

from portfolio_shared.serving.follow import LONGEST_LINE, answer_lines, follow
from portfolio_shared.serving.problems import FieldError, unprocessable
from portfolio_shared.serving.schemas import Strict

PROGRAM = """
from pathlib import Path
from portfolio_shared.serving.follow import follow
from portfolio_shared.terminal import standard_streams
with standard_streams():
    follow(None, dict, lambda given: given, what="lines echoed")
"""


class Thing(Strict):
    area: float = Field(gt=0, allow_inf_nan=False)


def double(thing: Thing) -> dict[str, float]:
    if thing.area > 100:
        raise unprocessable([FieldError(field="area", message="Too large", value=thing.area, bound={"le": 100})])
    return {"price": 2 * thing.area}


def answers_of(text: bytes) -> list[dict]:
    out = io.StringIO()
    answer_lines(io.BytesIO(text), out, Thing, double)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_every_line_is_answered_in_order_and_blank_ones_are_only_counted() -> None:
    text = b'\xef\xbb\xbf{"area": 1}\r\n\n{"area": 2}\n  \n{"area": 1000}\n{"area": 3}'
    first, second, refused, last = answers_of(text)
    assert (first, second, last) == ({"price": 2.0}, {"price": 4.0}, {"price": 6.0})
    assert refused == {
        "line": 5,
        "error": {
            "detail": "1 value is refused. area: Too large",
            "errors": [{"field": "area", "message": "Too large", "value": 1000, "bound": {"le": 100}}],
        },
    }


@pytest.mark.parametrize(
    ("line", "field", "said"),
    [
        (b"{", None, "not valid JSON"),
        (b"\xff", None, "not valid JSON"),
        (b'{"area": NaN}', None, "not valid JSON"),
        (b'{"area": "wide"}', "area", "valid number"),
        (b"{}", "area", "Field required"),
        (b'{"area": 1, "color": 2}', "color", "not permitted"),
        (b"5", "line", "valid dictionary"),
        (b'{"area": 1e999}', "area", "finite"),
        (b" " * LONGEST_LINE + b'{"area": 1}', None, "longer than 4,000,000 bytes"),
    ],
)
def test_a_refused_line_says_why_and_the_next_one_is_answered(line: bytes, field: str | None, said: str) -> None:
    refused, answered = answers_of(line + b'\n{"area": 1}\n')
    assert refused["line"] == 1
    assert said in refused["error"]["detail"]
    assert [error["field"] for error in refused["error"]["errors"]] == [field] * (field is not None)
    assert answered == {"price": 2.0}


def test_a_line_is_answered_before_the_next_one_is_read() -> None:
    out = io.StringIO()

    class Lines(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            seen.append(out.getvalue().count("\n"))
            return super().readline(size)

    seen: list[int] = []
    answer_lines(Lines(b'{"area": 1}\n' * 3), out, Thing, double)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("refused", [False, True])
def test_the_end_says_how_many_and_refusals_turn_the_exit_code(tmp_path: Path, capsys, refused: bool) -> None:
    file = tmp_path / "things.ndjson"
    file.write_text('{"area": 1}\n' + '{"area": 0}\n' * refused, encoding="utf-8")
    if refused:
        with pytest.raises(SystemExit, match="1"):
            follow(file, Thing, double, what="things doubled")
    else:
        follow(file, Thing, double, what="things doubled")
    assert capsys.readouterr().err == f"{file}: 1 things doubled, {int(refused)} refused\n"


@pytest.fixture
def program():
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    with started:
        yield started
        started.kill()


def test_ctrl_c_ends_it_in_silence(program: subprocess.Popen) -> None:
    program.stdin.write(b'{"area": 1}\n')
    program.stdin.flush()
    assert program.stdout.readline() == b'{"area":1}\n'  # at once, through a pipe that stays open
    program.send_signal(signal.SIGINT)
    assert program.wait(timeout=60) == 128 + signal.SIGINT
    assert program.stderr.read() == b""


def test_a_reader_that_goes_ends_it_in_silence(program: subprocess.Popen) -> None:
    program.stdout.close()
    _, err = program.communicate(b'{"area": 1}\n', timeout=60)
    assert (program.returncode, err) == (128 + signal.SIGPIPE, b"")
