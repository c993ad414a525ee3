import gzip

import pytest

from housing.data.cut_sample import HEADINGS, cut_sample
from housing.data.load import AMES, SAMPLE
from portfolio_shared.data.checks import DataError

SHIPPED = gzip.decompress(SAMPLE.path.read_bytes())


def test_every_copy_of_the_published_file_gives_the_same_bytes(tmp_path):
    """Windows' line ends, and the headings of the documentation."""
    published = SHIPPED
    for heading, shipped in HEADINGS.items():
        published = published.replace(shipped, heading, 1)
    assert published != SHIPPED
    cut = []
    for name, text in {"first": SHIPPED, "again": SHIPPED, "published": published.replace(b"\n", b"\r\n")}.items():
        (tmp_path / f"{name}.txt").write_bytes(text)
        cut_sample(tmp_path / f"{name}.txt", tmp_path / f"{name}.txt.gz")
        cut.append((tmp_path / f"{name}.txt.gz").read_bytes())
    assert cut[0] == cut[1] == cut[2]
    assert gzip.decompress(cut[0]) == SHIPPED


def test_another_text_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "sales.txt").write_bytes(SHIPPED[:-1])
    with pytest.raises(DataError, match=r"sales\.txt is not the published file: sha256 "):
        cut_sample(tmp_path / "sales.txt", tmp_path / "sales.txt.gz")
    assert not (tmp_path / "sales.txt.gz").exists()


@pytest.mark.real_data
def test_what_ships_is_cut_from_the_public_file(real_data_dir, tmp_path):
    """Compared unpacked: another version of zlib may pack the same text into other bytes."""
    cut_sample(real_data_dir / AMES.path, tmp_path / "cut.txt.gz")
    assert gzip.decompress((tmp_path / "cut.txt.gz").read_bytes()) == SHIPPED
