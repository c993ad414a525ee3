"""What came in, what was repaired, what was excluded: checks of a table, and a report that hides nothing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from portfolio_shared.markdown import plain

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa
    from rich.table import Table

MAX_EXAMPLES = 3
MAX_COLUMNS_SHOWN = 4  # a rule about the whole table reports every column of each row; more are no help


class DataError(ValueError):
    """A table breaks its rules; the message names column, rule, number of rows and examples."""


@dataclass
class DataReport:
    """Account of the rows of one table.

    Attributes
    ----------
    name
        Of the table, as a reader knows it.
    rows_read
        Rows that the source has.
    repaired
        What was corrected, to the number of rows; these rows are kept. A row may count under several repairs.
    excluded
        Why rows were excluded, to their number. Each row is excluded for one reason only.
    notes
        Anything else that a reader of the numbers should know.

    Examples
    --------
    >>> report = DataReport("houses", rows_read=10)
    >>> report.repair("year with two digits", 3)
    >>> report.exclude("no price", 2)
    >>> report.rows_kept
    8
    """

    name: str
    rows_read: int
    repaired: dict[str, int] = field(default_factory=dict)
    excluded: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def rows_kept(self) -> int:
        """Rows read less rows excluded."""
        return self.rows_read - sum(self.excluded.values())

    def repair(self, what: str, rows: int) -> None:
        """Count rows that were corrected; zero is recorded too, because it says that somebody looked."""
        _check_count(what, rows, at_most=self.rows_read)
        self.repaired[what] = self.repaired.get(what, 0) + rows

    def exclude(self, reason: str, rows: int) -> None:
        """Count rows that were excluded, not more than are left."""
        _check_count(reason, rows, at_most=self.rows_kept)
        self.excluded[reason] = self.excluded.get(reason, 0) + rows

    def as_dict(self) -> dict[str, Any]:
        """Return the account as JSON types."""
        return {"rows_kept": self.rows_kept, **asdict(self)}

    def as_markdown(self) -> str:
        """Return the account as a Markdown table, the notes below it."""
        rows = [(self.name, "rows"), ("---", "---:"), *((label, f"{rows:,}") for label, rows in self._lines())]
        lines = ["| {} | {} |".format(plain(label).replace("|", r"\|"), count) for label, count in rows]
        return "\n".join([*lines, *(f"\n{plain(note)}" for note in self.notes)]) + "\n"

    def as_table(self) -> "Table":
        """Return the account as a table for the terminal, the notes as its caption."""
        from rich.table import Table
        from rich.text import Text

        # Text, because labels may contain square brackets, which would be read as markup.
        table = Table(title=Text(self.name), caption=Text("\n".join(self.notes)) if self.notes else None)
        table.add_column("")
        table.add_column("rows", justify="right")
        for label, rows in self._lines():
            table.add_row(Text(label), f"{rows:,}")
        return table

    def _lines(self) -> list[tuple[str, int]]:
        return [
            ("read", self.rows_read),
            *((f"repaired: {what}", rows) for what, rows in self.repaired.items()),
            *((f"excluded: {reason}", rows) for reason, rows in self.excluded.items()),
            ("kept", self.rows_kept),
        ]


def stored_report(stored: Mapping[str, Any]) -> DataReport:
    """Return the account that `DataReport.as_dict` gave, read from JSON."""
    return DataReport(**{name: value for name, value in stored.items() if name != "rows_kept"})


def validate_frame(frame: "pd.DataFrame", schema: "pa.DataFrameSchema", *, source: str) -> "pd.DataFrame":
    """Return the table as the schema wants it, with types converted where the schema says so.

    Parameters
    ----------
    frame
        Table to check; it is not changed.
    schema
        Rules, from pandera.
    source
        Where the table came from, for the message: a path or the name of a data set.

    Raises
    ------
    DataError
        If rules are broken: all of them at once, each with its column, the number of rows and up to three
        examples with their row labels.
    """
    from pandera.errors import SchemaErrors

    try:
        return schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        failures = _describe(error.failure_cases)
        count = "1 rule is" if len(failures) == 1 else f"{len(failures)} rules are"
        # The original error carries the whole table; its message would bury this one.
        raise DataError("\n  ".join([f"{source}: {count} broken", *failures])) from None


def _describe(cases: "pd.DataFrame") -> list[str]:
    """Return one line per broken rule, from pandera's table of one line per broken cell."""
    named = {"DataFrameSchema": "table", "Index": "index", "MultiIndex": "index"}
    where = [
        named.get(context, str(column))
        for context, column in zip(cases["schema_context"], cases["column"], strict=True)
    ]
    groups = cases.assign(where=where).groupby(["where", "check"], sort=False)
    return [_describe_rule(str(place), str(check), group) for (place, check), group in groups]


def _describe_rule(column: str, check: str, cases: "pd.DataFrame") -> str:
    values = list(cases["failure_case"])
    if check == "column_in_dataframe":
        return f"{column}: columns that are missing: {', '.join(map(str, values))}"
    if check == "column_in_schema":
        return f"{column}: columns that are not expected: {', '.join(map(str, values))}"
    labels = list(cases["index"].drop_duplicates())
    if cases["index"].isna().all():
        return f"{column}: {check} fails as a whole: {_show(values[0])}"
    examples = "; ".join(_show_row(label, cases[cases["index"] == label]) for label in labels[:MAX_EXAMPLES])
    rows = "1 row" if len(labels) == 1 else f"{len(labels)} rows"
    return f"{column}: {check} fails in {rows}, for example {examples}"


def _show_row(label: object, cases: "pd.DataFrame") -> str:
    place = f"row {_show(label)}"
    if len(cases) > MAX_COLUMNS_SHOWN:
        return place
    if len(cases) == 1:
        return f"{_show(cases['failure_case'].iloc[0])} in {place}"
    cells = zip(cases["column"], cases["failure_case"], strict=True)
    return ", ".join(f"{column} = {_show(value)}" for column, value in cells) + f" in {place}"


def _show(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _check_count(label: str, rows: int, *, at_most: int) -> None:
    if not 0 <= rows <= at_most:
        raise ValueError(f"{label!r}: the number of rows must lie between 0 and {at_most}, not {rows}")
