"""Tables as people make them, with a fixed seed: no row is lost, none ends a batch, and what is no table is named."""

import csv
import gzip
import importlib
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from command_line import command_line
from small_models import SmallModel

from portfolio_shared.data.checks import DataError

pytestmark = [pytest.mark.suite, pytest.mark.long, pytest.mark.slow]

FILES = 400
DIRT = {
    "nul": "a\0b",
    "lines": 'two\nlines, a comma; a "quote"',
    "break": "two\r\nlines",
    "large": "x" * 200_000,
    "empty": "",
    "other": "\u202e\ufeff\x1b[0m,;|\t",
}


@dataclass
class Made:
    """A file: its bytes, how many rows an answer must have, and whether it may be refused as a whole."""

    text: bytes = b""
    rows: int = 0
    refusable: bool = False
    kinds: list[str] = field(default_factory=list)


@pytest.fixture(scope="module", params=["housing", "recommender"])
def answered(request: pytest.FixtureRequest, small_model: Callable[[str], SmallModel]) -> SmallModel:
    return small_model(request.param)


@pytest.fixture(scope="module")
def record(answered: SmallModel) -> dict[str, str]:
    """A row that can be answered."""
    if answered.project.name == "recommender":
        films = list(answered.trained.predictor.catalogue.films)[:3]
        return {"who": "Zoë", "history": f"{films[0].id}:4 {films[1].id}"}
    house = json.loads(answered.own.full_request(None).body)["houses"][0]
    return {"who": "Zoë"} | {name: str(value) for name, value in house.items()}


def row(kind: str, cells: list[str], separator: str, quoting: Any, rng: random.Random) -> tuple[str, int]:
    """Return the text of a row of this kind, without its end, and how many rows it counts for."""

    def written(cells: list[str]) -> str:
        stream = io.StringIO()
        csv.writer(stream, delimiter=separator, quoting=quoting).writerow(cells)
        return stream.getvalue().removesuffix("\r\n")

    cells = cells.copy()
    count = 1
    if kind == "short":
        text = written(cells[: rng.randrange(1, len(cells))])
    elif kind == "long":
        text = written([*cells, *["x"] * rng.randrange(1, 5)])
    elif kind in ("blank", "spaces"):
        text, count = ("", 0) if kind == "blank" else ("   ", 1)
    elif kind == "text after a quotation mark":
        text = f'"a"b{separator}' + written(cells[1:])
    elif kind == "never closed":
        text = f'"a{separator}' + separator.join(cells[1:])
    else:
        if kind in DIRT:
            cells[rng.randrange(len(cells))] = DIRT[kind]
        text = written(cells)
    return text, count


KINDS = ("short", "long", "blank", "spaces", "text after a quotation mark", "never closed", *DIRT)


def make(record: dict[str, str], rng: random.Random) -> Made:
    """Make a file of some rows, most of them whole, in one of the ways in which tables are written."""
    made = Made()
    separator, end = rng.choice(",;\t|"), rng.choice(["\n", "\r\n", "\r"])
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    record = record | {name: "x" for name in ('24"', 'a ""b" c') if rng.random() < 0.2}
    names = list(record)
    rng.shuffle(names)
    made.kinds = [rng.choice(KINDS) if rng.random() < 0.4 else "whole" for _ in range(rng.randrange(12))]
    written = [row(kind, [record[name] for name in names], separator, quoting, rng) for kind in made.kinds]
    headings = [*names, names[0]] if rng.random() < 0.1 else names[1:] if rng.random() < 0.1 else names
    made.refusable = headings != names
    heading = separator.join(headings) if rng.random() < 0.5 else row("whole", headings, separator, quoting, rng)[0]
    lines = [heading, *(text for text, _ in written)]
    if rng.random() < 0.2:
        lines.insert(0, f"sep={separator}")
    made.rows = sum(count for _, count in written)
    text = end.join(lines) + end * rng.randrange(3)
    encoding = rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
    bom = "\ufeff" * (encoding in ("utf-16-le", "utf-16-be"))
    made.text = (bom + text).encode(encoding, "replace")
    made.refusable |= encoding == "latin-1"
    if rng.random() < 0.1:
        made.text = made.text[: rng.randrange(len(made.text))]
        made.rows, made.refusable = -1, True
    if rng.random() < 0.2:
        made.text = gzip.compress(made.text)
    return made


def files(record: dict[str, str]) -> Iterator[Made]:
    rng = random.Random(0)  # noqa: S311 - no secret
    for _ in range(FILES):
        yield make(record, rng)


def test_every_row_of_every_file_is_answered_or_told_why_not(
    answered: SmallModel, record: dict[str, str], tmp_path: Path
) -> None:
    batch = importlib.import_module(f"{answered.project.package}.serving.batch")
    source, target = tmp_path / "rows.csv", tmp_path / "answers.csv"
    refused = answers = 0
    for number, made in enumerate(files(record)):
        source.write_bytes(made.text)
        about = f"file {number}: {made.kinds}, {made.text[:300]!r}"
        reason = None
        try:
            result = batch.predict_file(source, target, answered.trained.predictor)
        except DataError as error:
            reason = str(error)
        if reason is not None:
            assert made.refusable, f"{about}: {reason}"
            assert str(source) in reason
            assert "\n" not in reason
            assert not target.exists()
            refused += 1
            continue
        with target.open(newline="", encoding="utf-8") as stream:
            heading, *rows = list(csv.reader(stream))
        target.unlink()
        assert len(rows) == made.rows or (made.refusable and len(rows) > made.rows), about
        assert {len(cells) for cells in rows} <= {len(heading)}, about
        assert result.done + result.refused == len(rows)
        assert result.refused == sum(bool(cells[-1]) for cells in rows)
        if not made.refusable:
            assert result.done >= made.kinds.count("whole"), about
        answers += result.done
    assert refused > 20
    assert answers > FILES


@pytest.fixture
def predict(
    answered: SmallModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[[bytes | None], tuple[int, str]]:
    """Return a function: the bytes of a file -> exit code and what the command says; without a file for None."""

    def run(content: bytes | None) -> tuple[int, str]:
        if content is not None:
            (tmp_path / "rows.csv").write_bytes(content)
        program = command_line(answered.project.name, monkeypatch, capsys)
        files = ("predict", tmp_path / "rows.csv", "-o", tmp_path / "out.csv")
        code, _, err = program(*files, "--bundle", answered.bundle)
        return code, err

    return run


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 and so on", "a zip archive or a workbook of Excel"),
        (b"who,history\nZo\xeb,1\n", "line 2: byte 0xeb is no UTF-8"),
        (b"a,a\n1,2\n", "headings that occur more than once: a"),
        (None, "No such file"),
    ],
)
def test_what_is_no_table_is_told_in_one_line(predict: Any, tmp_path: Path, content: bytes | None, said: str) -> None:
    code, err = predict(content)
    assert (code, said in err) == (1, True), err
    assert "Traceback" not in err
    assert str(tmp_path / "rows.csv") in err.strip().splitlines()[-1]
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("surplus", ["", ",x"], ids=["all answered", "one refused"])
def test_the_exit_code_says_whether_a_row_was_refused(predict: Any, record: dict[str, str], surplus: str) -> None:
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([list(record), list(record.values()), list(record.values())])
    code, err = predict((table.getvalue().rstrip("\n") + surplus).encode())
    assert code == (1 if surplus else 0), err
