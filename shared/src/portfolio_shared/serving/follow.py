"""`predict --follow`: a JSON object a line in, its answer a line out as soon as it is read, in constant memory."""

import codecs
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_json

from portfolio_shared.serving.batch import BatchResult
from portfolio_shared.serving.problems import ProblemError, listed
from portfolio_shared.serving.reading import read

T = TypeVar("T")

LONGEST_LINE = 4_000_000  # bytes; a line without end would fill the memory


def follow(source: Path | None, schema: type[T], answer: Callable[[T], object], *, what: str) -> None:
    """Answer each line of a file or of standard input on standard output, and say at the end on stderr what became.

    Parameters
    ----------
    source
        File of JSON lines; None or ``-`` for standard input.
    schema
        What a line holds, as the API takes one thing.
    answer
        Returns the item of the API's answer; raises `ProblemError` for what no schema can refuse.
    what
        What was done, for the line on stderr: "houses priced".

    Raises
    ------
    SystemExit
        With 1 at the end if lines were refused, with 130 after Ctrl-C.
    BrokenPipeError
        If nobody reads the answers any more.
    """
    from_stdin = source is None or str(source) == "-"
    if from_stdin and sys.stdin.isatty():
        sys.stderr.write("reading from standard input, one JSON object a line; Ctrl-D ends\n")
    try:
        with nullcontext(sys.stdin.buffer) if source is None or from_stdin else source.open("rb") as lines:
            result = answer_lines(lines, sys.stdout, schema, answer)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    name = "standard input" if from_stdin else source
    sys.stderr.write(f"{name}: {result.done:,} {what}, {result.refused:,} refused\n")
    if result.refused:
        sys.exit(1)


def answer_lines(lines: IO[bytes], answers: IO[str], schema: type[T], answer: Callable[[T], object]) -> BatchResult:
    """Write an answer for every line that is not blank, and flush it; a refused one says its line and why."""
    check = TypeAdapter(schema).validate_python
    done = refused = 0
    for number, line in _numbered(lines):
        try:
            text = to_json(answer(_checked(line, check))).decode()
            done += 1
        except ProblemError as error:
            reason = {"detail": error.detail, "errors": listed(error.errors)}
            text = json.dumps({"line": number, "error": reason}, separators=(",", ":"))
            refused += 1
        answers.write(f"{text}\n")
        answers.flush()
    return BatchResult(done, refused)


def _numbered(lines: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank with their numbers; of one that is too long, what shows that it is."""
    number, start = 0, codecs.BOM_UTF8
    while line := lines.readline(LONGEST_LINE + 1):
        number += 1
        rest = line
        while len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
            rest = lines.readline(LONGEST_LINE + 1)
        line, start = line.removeprefix(start), b""
        if line.strip():
            yield number, line


def _checked(line: bytes, check: Callable[[Any], T]) -> Any:
    """Return what a line holds, or raise the problem that the API answers with."""
    if len(line) > LONGEST_LINE:
        raise ProblemError(413, f"The line is longer than {LONGEST_LINE:,} bytes.")
    return read(line, check, what="line")
