"""The first stage counts what the reader in memory counts, or says which rows that one would refuse."""

from collections.abc import Callable
from pathlib import Path

import pytest

from portfolio_shared.data.checks import DataError
from recommender.data.etl.manifest import Manifest
from recommender.data.load import Dataset, load

HEADING = "userId,movieId,rating,timestamp"
Etl = Callable[..., tuple[Manifest, list[str]]]


def write(folder: Path, *lines: str) -> Path:
    folder.mkdir()
    (folder / "movies.csv").write_text("movieId,title,genres\n1,One (2001),Drama\n2,Two (2002),War\n", encoding="utf-8")
    (folder / "ratings.csv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


NUMBERS = ("4E0", "4e0", "40E-1", "+4.", ".5", " 4 ", "-4", "0E3")
NO_NUMBERS = (
    *("", "NA", "N/A", "n/a", "<NA>", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "#N/A", "#N/A N/A", "#NA"),
    *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)


@pytest.mark.parametrize("value", NUMBERS + NO_NUMBERS)
def test_a_value_is_what_it_is_to_the_reader_in_memory(
    check_equal: Callable[[Dataset, Dataset], None], etl: Etl, tmp_path: Path, value: str
) -> None:
    source = write(tmp_path / "source", HEADING, "1,1,3.5,7", f"1,2,{value},8")
    etl(source, tmp_path / "out", most_unreadable=0.0)
    check_equal(load(str(tmp_path / "out")), load(str(source)))


@pytest.mark.parametrize("above", [[], ["", ""]], ids=["first line", "below blank lines"])
def test_a_heading_that_comes_again_is_counted(etl: Etl, tmp_path: Path, above: list[str]) -> None:
    """As where two files were put one below the other: the reader in memory refuses the file for it."""
    source = write(tmp_path / "source", *above, HEADING, "1,1,3.5,7", HEADING, "1,2,4,8", "", HEADING)
    with pytest.raises(DataError, match=f"line {3 + len(above)}: user is 'userId'"):
        load(str(source))
    manifest, _ = etl(source, tmp_path / "out")
    assert (manifest.rows_read, sum(manifest.excluded.values())) == (4, 2)
    assert manifest.excluded["row that is no rating"] == 2
    with pytest.raises(DataError, match=rf"2 of 4 rows are no ratings.*'{HEADING}'"):
        etl(source, tmp_path / "strict", most_unreadable=0.4)
