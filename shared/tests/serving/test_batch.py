import pytest

from portfolio_shared.serving.batch import BatchResult, FileError, chunks, misshapen, open_rows, refusal, write_rows


def test_rows_are_written_and_counted_by_their_error(tmp_path):
    steps = []
    rows = [{"name": "a", "error": ""}, {"name": "b", "error": "too large"}, {"name": "c", "error": "", "other": "x"}]
    result = write_rows(tmp_path / "out.csv", ["name", "error"], rows, advance=steps.append)

    assert result == BatchResult(done=2, refused=1)
    assert steps == [1, 1, 1]
    assert (tmp_path / "out.csv").read_text() == "name,error\na,\nb,too large\nc,\n"


def test_a_run_that_breaks_leaves_the_old_file_and_no_half_one(tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("of yesterday")

    def rows():
        yield {"name": "a", "error": ""}
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        write_rows(target, ["name", "error"], rows(), advance=lambda _: None)
    assert target.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_that_is_no_utf8_keeps_its_bytes(tmp_path):
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    write_rows(tmp_path / "out.csv", ["name"], [{"name": name, "error": ""}], advance=lambda _: None)
    assert b"caf\xe9.jpg" in (tmp_path / "out.csv").read_bytes()


def test_headings_and_rows_are_read_without_a_byte_order_mark(tmp_path):
    (tmp_path / "in.csv").write_bytes(b'\xef\xbb\xbfa,b\n1,"2,5"\n3\n4,5,6\n')
    with open_rows(tmp_path / "in.csv", added=["error"]) as (headings, rows):
        assert headings == ["a", "b"]
        first, short, long = rows
    assert (first, misshapen(first)) == ({"a": "1", "b": "2,5"}, None)
    reason = "the row has more or fewer cells than the heading"
    assert [misshapen(short), misshapen(long)] == [reason, reason]
    assert refusal(["price", "error"], reason) == {"price": "", "error": reason}


def test_a_file_that_has_the_added_columns_already_is_refused_by_name(tmp_path):
    (tmp_path / "in.csv").write_text("a,error\n")
    with (
        pytest.raises(FileError, match=r"in\.csv: rename the columns error"),
        open_rows(tmp_path / "in.csv", added=["price", "error"]),
    ):
        pass


def test_what_is_no_csv_is_named(tmp_path):
    (tmp_path / "in.csv").write_text('a\n"' + "x" * 200_000)
    with (
        open_rows(tmp_path / "in.csv", added=[]) as (_, rows),
        pytest.raises(FileError, match="field larger"),
    ):
        list(rows)


def test_rows_come_in_chunks():
    rows = ({"n": str(number)} for number in range(5))
    assert [[row["n"] for row in chunk] for chunk in chunks(rows, 2)] == [["0", "1"], ["2", "3"], ["4"]]
