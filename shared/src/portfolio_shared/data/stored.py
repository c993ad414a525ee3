"""Cleaned rows as a table of Parquet, beside a manifest that says what they are and what was left out."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from portfolio_shared.data.checks import DataReport
from portfolio_shared.data.sources import Source

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "manifest.json"


class Storable(Protocol):
    """What `load` returns in a project."""

    @property
    def source(self) -> Source:
        """Which data these are."""

    @property
    def sha256(self) -> str:
        """Hash of the data, as a training records it."""

    @property
    def report(self) -> DataReport:
        """What was read, repaired, excluded and kept."""


def store_table(folder: Path, name: str, table: "pa.Table", dataset: Storable) -> None:
    """Write `NAME.parquet`, and then `manifest.json`; the same rows give the same bytes.

    Parameters
    ----------
    table
        A row for each thing that is kept; what pandas says of itself in it is left out.

    Raises
    ------
    ValueError
        If the table has another number of rows than the report says were kept.
    """
    import pyarrow.parquet as pq

    report = dataset.report
    if table.num_rows != report.rows_kept:
        raise ValueError(f"{name}: expected the {report.rows_kept:,} rows that were kept, found {table.num_rows:,}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    unfinished = path.with_name(f".{path.name}.tmp")
    pq.write_table(table.replace_schema_metadata(None), unfinished, compression="zstd")
    unfinished.replace(path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    manifest = {
        "source": {"kind": dataset.source.kind, "name": dataset.source.path.name, "sha256": dataset.sha256},
        "rows_read": report.rows_read,
        "repaired": report.repaired,
        "excluded": report.excluded,
        "notes": report.notes,
        "rows_kept": report.rows_kept,
        "schema": {field.name: str(field.type) for field in table.schema},
        "files": {path.name: sha256},
    }
    unfinished = folder / f".{MANIFEST}.tmp"
    unfinished.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(folder / MANIFEST)
