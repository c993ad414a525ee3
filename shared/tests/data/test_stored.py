"""A stored table is what was kept, in the same bytes each time, under a manifest that names its hash."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from portfolio_shared.data.checks import DataReport
from portfolio_shared.data.sources import Source
from portfolio_shared.data.stored import MANIFEST, store_table


@dataclass(frozen=True)
class Data:
    source: Source
    sha256: str
    report: DataReport


@pytest.fixture
def dataset() -> Data:
    report = DataReport("houses", rows_read=4)
    report.exclude("no price", 2)
    report.repair("year with two digits", 1)
    return Data(Source("sample", Path("/somewhere/ames.csv"), "because"), "ab" * 32, report)


@pytest.fixture
def table() -> pa.Table:
    frame = pd.DataFrame({"pid": ["1", None], "price": [100.0, float("nan")]}, index=[5, 7])
    return pa.Table.from_pandas(frame, preserve_index=False)


def test_what_is_read_back_is_what_was_kept(tmp_path: Path, dataset: Data, table: pa.Table) -> None:
    store_table(tmp_path / "new", "houses", table, dataset)

    read = pq.read_table(tmp_path / "new/houses.parquet")
    assert read.to_pylist() == table.to_pylist()
    manifest = json.loads((tmp_path / "new" / MANIFEST).read_text(encoding="utf-8"))
    digest = hashlib.sha256((tmp_path / "new/houses.parquet").read_bytes()).hexdigest()
    assert manifest["files"] == {"houses.parquet": digest}
    assert manifest["source"] == {"kind": "sample", "name": "ames.csv", "sha256": "ab" * 32}
    assert (manifest["rows_read"], manifest["rows_kept"]) == (4, 2)
    assert (manifest["excluded"], manifest["repaired"]) == ({"no price": 2}, {"year with two digits": 1})
    assert manifest["schema"]["price"] == "double"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["houses.parquet", MANIFEST]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path, dataset: Data, table: pa.Table) -> None:
    for name in ("one", "two", "two"):
        store_table(tmp_path / name, "houses", table, dataset)

    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def test_a_table_of_other_rows_than_were_kept_is_refused(tmp_path: Path, dataset: Data, table: pa.Table) -> None:
    with pytest.raises(ValueError, match="expected the 2 rows that were kept, found 1"):
        store_table(tmp_path, "houses", table.slice(1), dataset)

    assert list(tmp_path.iterdir()) == []
