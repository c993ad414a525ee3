import bz2
import codecs
import csv
import gzip
import io
import os
import threading
import zipfile

import pytest

from portfolio_shared.data import tables
from portfolio_shared.data.tables import FileError, misshapen, open_table

TEXT = "name,Größe\nLéon,1\n"


def read(path, known=("name",)):
    with open_table(path, known=lambda heading: heading in known) as table:
        rows = list(table.rows())
        assert list(table.rows()) == rows  # as often as they are asked for
        return table.headings, table.separator, rows


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "in.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        gzip.compress(TEXT.encode(), mtime=0),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace(",", " , ").replace(" , 1", ",1").encode(),
        ("\n \n" + TEXT).encode(),
    ],
    ids=["utf-8", "mark", "utf-16", "big-endian", "no-mark", "gzip", "windows", "old-mac", "spaces", "blank-lines"],
)
def test_a_text_is_read_however_it_is_stored(write, content):
    headings, separator, rows = read(write(content))
    assert (headings, separator, [cells for _, cells in rows]) == (["name", "Größe"], ",", [["Léon", "1"]])


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("name;a\nx;1,5\n", ";"),
        ("name\ta\nx\t1,5\n", "\t"),
        ("name|a\nx|1,5\n", "|"),
        ("a,b;c|d;name\n", ";"),  # more commas or as many, but only one separator makes a known heading
        ("name\nx,y\n", ","),
        ("sep=;\nname;a,b,c\n", ";"),
        ('"sep=\t"\nname\ta\n', "\t"),
        ('"name;x,y,z";a;b\n', ";"),
    ],
)
def test_the_separator_is_the_one_that_makes_headings_known(write, text, separator):
    assert read(write(text))[1] == separator


def test_rows_carry_the_line_they_begin_on_and_all_their_cells(write):
    text = '\nsep=,\nname,"a\nb"\n1,2\n\n3,"two\nlines"\n4\n5,6,7\n'
    headings, _, rows = read(write(text))
    assert headings == ["name", "a\nb"]
    assert rows == [(5, ["1", "2"]), (7, ["3", "two\nlines"]), (9, ["4"]), (10, ["5", "6", "7"])]
    assert [misshapen(line, cells, 2) for line, cells in rows] == [
        None,
        None,
        "line 9 has 1 cells, expected 2",
        "line 10 has 3 cells, expected 2; left over: '7'",
    ]


@pytest.mark.parametrize("quoted", [False, True])
def test_a_cell_of_a_megabyte_is_read_and_a_larger_one_than_is_allowed_refuses_its_line(write, monkeypatch, quoted):
    large = '"' * quoted + "1 " * 500_000 + '"' * quoted
    path = write(f"name\n{large}\n2\n")
    assert [len(cells[0]) for _, cells in read(path)[2]] == [1_000_000, 1]
    monkeypatch.setattr(tables, "MAX_CELL", 1000)
    assert read(path)[2] == [(2, [large]), (3, ["2"])]
    assert "line 2 cannot be read" in misshapen(*read(path)[2][0], 1)


@pytest.mark.parametrize(
    ("heading", "headings", "line"),
    [
        ('size 24",price\n', ['size 24"', "price"], 2),
        ('price,"size\n24"""\r\n', ["price", 'size\n24"'], 3),
        ('"a""b",c""d\n', ['a"b', 'c""d'], 2),
        ('a "b" c;\'d"\n', ['a "b" c', "'d\""], 2),
        ("no\u2028te,a\x0bb\x85c\x1cd\n", ["no\u2028te", "a\x0bb\x85c\x1cd"], 2),
        ("PK,name\n", ["PK", "name"], 2),
        ("PAR1,BZh\n", ["PAR1", "BZh"], 2),
        ("Rar!,ARROW1\n", ["Rar!", "ARROW1"], 2),
    ],
)
def test_odd_headings_take_no_row_with_them(write, heading, headings, line):
    row = "3;4\n" if ";" in heading else "3,4\n"
    found, _, rows = read(write(heading + "\n" + row + 5000 * row))
    assert found == headings
    assert rows[0] == (line + 1, ["3", "4"])
    assert len(rows) == 5001


@pytest.mark.parametrize("given", ["sep=~\n", "sep=~\r\n", '"sep=~"\n', "SEP=~ \n", "\nsep=~\n"])
@pytest.mark.parametrize("separator", [*",;\t|: ~^§", "/"])
def test_a_first_line_may_name_any_separator_that_is_a_sign(write, given, separator):
    assert read(write(given.replace("~", separator) + f"name{separator}b\n1{separator}2\n"))[:2] == (
        ["name", "b"],
        separator,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("id,history,id,,\n", r"line 1: headings that occur more than once: \(empty\), id"),
        ("name, name\n", "line 1: headings that occur more than once: name"),
        (b"name,a\nx,1\nL\xe9on,2\n", r"line 3: byte 0xe9 is no UTF-8; .*iconv -f CP1252"),
        (b"name\n" * 500_000 + b"\xff\n", "line 500001: byte 0xff"),
        (TEXT.encode("utf-16")[:-1], "no whole text in UTF-16"),
        (gzip.compress(TEXT.encode(), mtime=0)[:-9], "is no whole gzip file"),
        (TEXT.encode("utf-32"), "UTF-32"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "workbook of Excel"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"\x80\x04\x95\x10", "pickle, which is never loaded"),
        (" <!DOCTYPE html>", "HTML"),
        ('[{"name": 1}]', "JSON"),
        (gzip.compress(b'{"name": 1}', mtime=0), "JSON"),
        (b"%PDF-1.7", "PDF"),
        (bz2.compress(b"name"), "bzip2"),
        (b"Rar!\x1a\x07", "RAR"),
        (b"ARROW1\0\0", "Arrow"),
        (b"PK\x05\x06" + bytes(18), "zip"),
        ('\nname,"a\n' + "1,2\n" * 5000, "line 2 cannot be read: a quotation mark is never closed"),
        ('sep=;\n"a"b;c\n', "line 2 cannot be read: .* text follows a closing one; correct the heading"),
        *((f"sep={given}\nname,b\n", "line 1: .sep=.* names no separator") for given in ("", '"', "'", "a", "1", ";,")),
        ('\n"sep="\nname,b\n', "line 2: '\"sep=\"' names no separator"),
    ],
)
def test_what_is_no_table_is_named_with_its_file_and_line(write, text, message):
    path = write(text)
    with pytest.raises(FileError, match=message) as error:
        read(path)
    assert str(error.value).startswith(str(path))


def test_a_workbook_is_told_by_its_bytes_whatever_its_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.csv", "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(FileError, match=r"workbook of Excel.*save the sheet as CSV"):
        read(tmp_path / "in.csv")


def test_a_path_that_leads_to_no_file_is_named(tmp_path):
    with pytest.raises(FileError, match=r"gone\.csv cannot be read: No such file"):
        read(tmp_path / "gone.csv")
    with pytest.raises(FileError, match="is a folder"):
        read(tmp_path)


def test_a_pipe_is_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("name\n1\n",))
    writer.start()
    assert read(pipe)[2] == [(2, ["1"])]
    writer.join(timeout=10)


@pytest.mark.parametrize("n_lines", [1, 2, 3, 100])
@pytest.mark.parametrize("separator", [",", ";"])
def test_blocks_hold_the_rows_that_the_csv_module_reads(write, n_lines, separator):
    """Plain lines are cut without it; a cell of several lines may begin in one block and end in another."""
    lines = ["name;b", "1;x", " 2 ;", ";;", "", "3;\0'y", '4;"two\nlines; one cell"', "5;", '"6";a', "7;é", "8;last"]
    text = "\r\n".join(lines).replace(";", separator)
    expected = [(line, cells) for line, cells in _with_lines(text, separator)[1:] if cells]
    with open_table(write(text), known=lambda heading: heading == "name") as table:
        blocks = list(table.blocks(n_lines))
    assert [row for block in blocks for row in block.rows] == expected
    for block in blocks:
        if block.lines is not None:
            assert [list(cells) for cells in zip(*block.columns, strict=True)] == [cells for _, cells in block.rows]
            assert [line.split(separator) for line in block.lines] == [cells for _, cells in block.rows]
    assert any(block.lines is not None for block in blocks) == (n_lines < 4)


def _with_lines(text, separator):
    reader, rows, line = csv.reader(io.StringIO(text, newline=""), delimiter=separator), [], 1
    for cells in reader:
        rows.append((line, cells))
        line = reader.line_num + 1
    return rows
