import numpy as np
import pytest

from portfolio_shared.operations.watch import REFERENCE_ROWS, read_reference, write_reference


def test_a_reference_is_read_as_it_was_written(tmp_path):
    columns = {"size": np.array([1.0, np.nan, 3.0]), "kind": np.array(["a", "", "<script>"])}
    write_reference(tmp_path, columns)
    read = read_reference(tmp_path)
    assert list(read) == ["size", "kind"]
    np.testing.assert_array_equal(read["size"], columns["size"])
    assert read["kind"].tolist() == ["a", "", "<script>"]


def test_of_many_rows_some_are_drawn_which_stay_rows(tmp_path):
    n = 3 * REFERENCE_ROWS
    write_reference(tmp_path, {"number": np.arange(n) * 1.0, "text": np.arange(n).astype(str)})
    read = read_reference(tmp_path)
    assert len(set(read["number"])) == REFERENCE_ROWS
    assert abs(read["number"].mean() - n / 2) < 0.05 * n
    assert [str(int(number)) for number in read["number"]] == read["text"].tolist()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": np.ones(2), "b": np.ones(3)}, "columns of one length"),
        ({"a": np.array([{}, None])}, "expected numbers or text in a"),
        ({"a": np.array([1, 2])}, "expected numbers or text in a"),
    ],
)
def test_what_is_no_table_of_numbers_and_texts_is_refused(tmp_path, columns, message):
    with pytest.raises(ValueError, match=message):
        write_reference(tmp_path, columns)
    assert not list(tmp_path.iterdir())


def test_a_reference_that_would_need_a_pickle_is_not_read(tmp_path):
    np.savez(tmp_path / "reference.npz", a=np.array([{}]))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_reference(tmp_path)
