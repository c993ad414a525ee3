import os
import threading
from pathlib import Path

import pytest

from portfolio_shared.data.tables import FileError, open_table
from portfolio_shared.serving.batch import BatchResult, predict_columns, predict_rows, write_rows


def test_rows_are_written_and_counted_by_their_error(tmp_path):
    steps = []
    rows = [["a", "", ""], ["b", "", "too large"], ["c", "year", ""]]
    result = write_rows(tmp_path / "out.csv", ["name", "repaired", "error"], rows, advance=steps.append)

    assert result == BatchResult(done=2, refused=1, repaired=1)
    assert steps == [1, 1, 1]
    assert (tmp_path / "out.csv").read_bytes() == b"name,repaired,error\na,,\nb,,too large\nc,year,\n"


def test_a_run_that_breaks_leaves_the_old_file_and_no_half_one(tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("of yesterday")

    def rows():
        yield ["a", ""]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        write_rows(target, ["name", "error"], rows())
    assert target.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_that_is_no_utf8_keeps_its_bytes(tmp_path):
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    write_rows(tmp_path / "out.csv", ["name", "error"], [[name, ""]])
    assert b"caf\xe9.jpg" in (tmp_path / "out.csv").read_bytes()


def doubled(rows):
    return [[str(2 * int(cells[0])), ""] for cells in rows]


def test_no_row_of_a_wrong_shape_is_lost_and_the_others_are_answered(tmp_path):
    (tmp_path / "in.csv").write_text(
        'n,note\n1,one\n2\n3,x,lost?,,too\n4,"open" quote\n\n5,"a ""b"",c"\n"6,never closed\n7,\n8,"two\nlines"\n'
    )
    steps = []
    with open_table(tmp_path / "in.csv") as table:
        result = predict_rows(
            table, tmp_path / "out.csv", ["double", "error"], doubled, rows_at_once=2, advance=steps.append
        )

    assert result == BatchResult(done=4, refused=4)
    assert steps == [2, 2, 2, 2]
    broken = "cannot be read: a quotation mark is never closed, or text follows a closing one"
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "n,note,double,error",
        "1,one,2,",
        '2,,,"line 3 has 1 cells, expected 2"',
        "3,x,,\"line 4 has 5 cells, expected 2; left over: 'lost?', 'too'\"",
        f'"4,""open"" quote",,,"line 5 {broken}"',
        '5,"a ""b"",c",10,',
        f'"""6,never closed",,,"line 8 {broken}"',
        "7,,14,",
        '8,"two',  # a line break in a cell stays in quotation marks
        'lines",16,',
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("rows_at_once", [1, 2, 100])
def test_an_answer_by_columns_writes_what_one_by_rows_writes(tmp_path, separator, rows_at_once):
    text = 'n;note\n1;one\n2\n3;a,b\n4;"open" quote\n\n5;"a ""b"",c"\n6;é\n7;\n8;x;y\n"8;oops\n9;"two\nlines"\n10;z'
    source, by_rows, by_columns = tmp_path / "in.csv", tmp_path / "rows.csv", tmp_path / "columns.csv"
    source.write_text(text.replace(";", separator), encoding="utf-8")
    known = {"known": lambda heading: heading == "n"}
    with open_table(source, **known) as table:
        expected = predict_rows(table, by_rows, ["double", "error"], doubled)
    steps = []
    with open_table(source, **known) as table:
        result = predict_columns(
            table,
            by_columns,
            ["double", "error"],
            lambda columns: doubled(list(zip(*columns, strict=True))),
            rows_at_once=rows_at_once,
            advance=steps.append,
        )
    assert by_columns.read_bytes() == by_rows.read_bytes()
    assert result == expected
    assert sum(steps) == result.done + result.refused


def test_a_file_that_has_the_added_columns_already_is_refused_by_name(tmp_path):
    (tmp_path / "in.csv").write_text("a,error\n")
    with (
        open_table(tmp_path / "in.csv") as table,
        pytest.raises(FileError, match=r"in\.csv: rename the columns error"),
    ):
        predict_rows(table, tmp_path / "out.csv", ["price", "error"], doubled)
    assert not (tmp_path / "out.csv").exists()


def test_a_link_is_followed_and_a_pipe_written_as_it_is(tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "out.csv")
    write_rows(tmp_path / "link.csv", ["name", "error"], [["a", ""]])
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "out.csv").read_text() == "name,error\na,\n"

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert write_rows(pipe, ["name", "error"], [["a", ""]]).done == 1
    reader.join(timeout=10)
    assert read == ["name,error\na,\n"]
    assert pipe.is_fifo()


def test_two_runs_to_one_file_leave_one_of_them_whole(tmp_path):
    def rows():
        others = tmp_path.parent / f"{tmp_path.name}/out.csv.1.part"
        others.write_text("of another process")
        yield ["a", ""]

    write_rows(tmp_path / "out.csv", ["name", "error"], rows())
    assert (tmp_path / "out.csv.1.part").read_text() == "of another process"
    assert (tmp_path / "out.csv").read_text() == "name,error\na,\n"


@pytest.mark.parametrize(
    ("name", "says"),
    [("", "is a folder"), ("gone/out.csv", "does not exist: make it"), ("-", "/dev/stdout for standard output")],
)
def test_a_place_that_cannot_be_written_is_said_before_a_row_is_answered(tmp_path, monkeypatch, name, says):
    def rows():
        pytest.fail("a row was answered")
        yield

    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=says):
        write_rows(Path(name), ["name", "error"], rows())
