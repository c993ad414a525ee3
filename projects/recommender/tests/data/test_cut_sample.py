"""What ships is what the script cuts, byte for byte."""

import zipfile
from pathlib import Path

import pytest

from recommender.data.cut_sample import MIN_RATERS, MIN_RATINGS, cut_sample
from recommender.data.source import SAMPLE


@pytest.mark.real_data
def test_the_snapshot_gives_the_bytes_that_ship(real_data_dir: Path, tmp_path: Path) -> None:
    snapshot = real_data_dir / "movietweetings-100k"
    if not snapshot.is_dir():
        pytest.skip(f"no snapshot of MovieTweetings in {real_data_dir}")
    assert cut_sample(snapshot, tmp_path / "again.zip").read_bytes() == SAMPLE.checked().read_bytes()


def test_who_and_what_stays(tmp_path: Path) -> None:
    """Persons 4 and 9 have enough ratings, person 5 has not; film 0000020 was rated by persons 4, 5 and 9 only."""
    films = [f"{film:07}" for film in range(1, MIN_RATINGS + 1)]
    rows = [f"{person}::{film}::7::{second}" for person in (4, 8, 9) for second, film in enumerate(films)]
    rows += ["4::0000020::0::99", "5::0000020::3::99", "9::0000020::3::99"]
    (tmp_path / "ratings.dat").write_text("\n".join(rows) + "\n")
    (tmp_path / "movies.dat").write_text("".join(f"{film}::Été (2000)::Drama\n" for film in [*films, "0000020"]))
    (tmp_path / "LICENSE").write_text("terms\n")

    with zipfile.ZipFile(cut_sample(tmp_path, tmp_path / "cut.zip")) as packed:
        assert packed.namelist() == ["LICENSE", "movies.dat", "ratings.dat"]
        kept = packed.read("ratings.dat").decode().splitlines()
        movies = packed.read("movies.dat").decode().splitlines()
    assert MIN_RATERS == 3
    assert len(kept) == 3 * MIN_RATINGS
    assert kept[0] == "1::0000001::7::0"
    assert {row.split("::")[0] for row in kept} == {"1", "2", "3"}
    assert movies == [f"{film}::Été (2000)::Drama" for film in films]
