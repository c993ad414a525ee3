"""Bring a table into a new project: `columns.toml` says what each of its columns is, `data/sample` has its rows.

Without a table it is the diabetes study that scikit-learn ships, 442 patients.
"""

import csv
import gzip
import hashlib
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "generator"))
import numpy as np
from infer import Inferred, complete, infer, read
from leaks import Floats, as_numbers, find_leaks

from new_project import PORT, copy_layer, one_line, replacements

LARGEST = 2_900_000  # bytes, packed: what ships stays small
DIABETES = {
    "s1": "total_cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "glucose",
}


def prepare(folder: Path, data: Path | None, target: str) -> Mapping[str, str]:
    """Write the sample and `columns.toml`, and return what to replace in the project's text."""
    place = next(folder.glob("src/*")) / "data"
    if data is None:
        if target:
            raise ValueError(
                f"TARGET={target} is a column of DATA, which is missing: name the file of the table as well"
            )
        data, target, about = folder / "diabetes.csv", "progression", DIABETES_SOURCE
        write_diabetes(data)
    else:
        about = OWN_SOURCE.format(name=one_line(data.name))
    table, separator = read(data.expanduser())
    found = infer(table, separator, target)
    find_leaks(found, table)
    complete(found, table)
    packed = place / "sample" / "table.csv.gz"
    ships = shipped(table, found)
    name, whole = pack(data.expanduser(), packed, ships, separator)
    if data.parent == folder:
        data.unlink()
    if found.target["kind"] == "category":
        copy_layer(Path(__file__).parent / "classes", folder, replacements(folder.name, PORT))
    (place / "columns.toml").write_text(as_toml(found).replace("PACKAGE", place.parent.name), encoding="utf-8")
    (packed.parent / "SOURCE.md").write_text(SOURCE.format(about=about, package=place.parent.name), encoding="utf-8")
    say(found, list(ships))
    return {
        "SAMPLE_NAME": name,
        "whole=True": f"whole={whole}",
        "SAMPLE_SHA256": hashlib.sha256(packed.read_bytes()).hexdigest(),
        "TARGET_DIGITS": form_of(as_numbers(table[target], found.decimal)),
        "TARGET_LABEL": one_line(found.target["heading"].replace("_", " ")).capitalize(),
        "HOW_SURE": OF_CLASSES if found.target["kind"] == "category" else OF_NUMBERS,
        RULE_OF_ROWS: RULE_OF_TIME.format(time=one_line(found.time), start=found.test_from[:10])
        if found.time
        else RULE_OF_ROWS,
        "SAMPLE_TERMS": TERMS if data.name == "diabetes.csv" else "Yours to say: may it be redistributed?",
    }


def form_of(target: Floats) -> str:
    """Return how numbers of about such a spread are written: with three digits of it."""
    spread = 1.0 if np.isnan(target).all() else float(np.nanstd(target)) or 1.0
    return f",.{max(0, 2 - int(np.floor(np.log10(spread))))}f"


def write_diabetes(path: Path) -> None:
    """Write the study as a table, in its own units, with names in place of s1 to s6."""
    from sklearn.datasets import load_diabetes

    table = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={**DIABETES, "target": "progression"})
    table["sex"] = table["sex"].map({1.0: "1", 2.0: "2"}).radd("sex ")
    table.to_csv(path, index=False)


def pack(source: Path, target: Path, table: Mapping[str, Sequence[str]], separator: str) -> tuple[str, bool]:
    """Write a table, packed, in UTF-8 and with the same bytes each time; return its name, and whether it is all of it.

    Of one that is too large to ship with the code, every so many rows are written.
    """
    rows, step = len(next(iter(table.values()))), 1
    packed = packed_rows(table, separator, step)
    if len(packed) > LARGEST:
        step = -(-len(packed) // LARGEST) + 1
        packed = packed_rows(table, separator, step)
        print(f"{source} is too large to ship: one row in {step} does; DATASET={source} trains on all of them")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(packed)
    every = "" if step == 1 else f"one in {step} of "
    return f"{every}{rows:,} rows of {one_line(source.name)}", step == 1


def packed_rows(table: Mapping[str, Sequence[str]], separator: str, step: int) -> bytes:
    """Return one row in `step` as text, packed."""
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator).writerows([list(table), *list(zip(*table.values(), strict=True))[::step]])
    return gzip.compress(stream.getvalue().encode(), mtime=0)


def shipped(table: Mapping[str, Sequence[str]], found: Inferred) -> dict[str, Sequence[str]]:
    """Return the columns that go into the repository: no ids and texts that nothing reads, which may name persons.

    In their place is the number of the first such row, so that rows which differ in them alone are no copies.
    """
    used = {found.target["heading"], found.group, found.time, *found.leaks}
    used |= {column["heading"] for column in found.columns.values()}
    ships = {heading: cells for heading, cells in table.items() if heading in used}
    if len(ships) < len(table):
        rows = list(zip(*table.values(), strict=True))
        first = {row: str(len(rows) - i) for i, row in enumerate(reversed(rows))}
        ships["row" if "row" not in ships else "row_of_file"] = [first[row] for row in rows]
    return ships


def as_toml(found: Inferred) -> str:
    """Return `columns.toml`; a text of JSON is one of TOML as well."""
    lines = [
        "# What each column of the table is: guessed by `make new-project`, and yours to change.",
        "# A column is a number, a category or a date. Delete the block of one to leave it out, or add a block; one",
        "# that is not in data/sample comes there by `python -m PACKAGE.data.cut_sample TABLE.csv`.",
        "",
        f"decimal = {json.dumps(found.decimal)}",
        f"group = {json.dumps(found.group)}  # heading: rows of one value are on one side of the split; empty for none",
        f"time = {json.dumps(found.time)}  # heading of the date that rows are split by; empty for a split by chance",
        f"test_from = {json.dumps(found.test_from)}  # rows from this date on are the test",
        *("", "[target]", *pairs(found.target)),
        *("", "[example] # a row that every model can answer", *pairs(found.example)),
    ]
    for name, column in found.columns.items():
        lines += ["", f"[columns.{name}]", *pairs(column)]
    lines += ["", "[left_out] # why; nothing reads this", *pairs(found.left_out)]
    return "\n".join(lines) + "\n"


def pairs(values: Mapping[str, object]) -> list[str]:
    """Return lines of TOML; a heading may be any text."""
    return [
        f"{key if key.isidentifier() and key.isascii() else json.dumps(key)} = {json.dumps(value)}"
        for key, value in values.items()
    ]


def say(found: Inferred, ships: Sequence[str]) -> None:
    """Say what was found out, and above all what looks as if it gave the target away."""
    kinds = {
        kind: [c["heading"] for c in found.columns.values() if c["kind"] == kind]
        for kind in ("number", "category", "date")
    }
    print(f"To predict {found.target['heading']}: {found.rows:,} rows")
    for kind, headings in kinds.items():
        if headings:
            print(f"  {kind}: {', '.join(headings)}")
    for heading, why in found.left_out.items():
        if heading not in found.leaks:
            print(f"  left out: {heading or '(no heading)'}: {why}")
    if found.time:
        print(f"  split: rows from {found.test_from} on are the test, because {found.time} is a date")
    for heading, why in found.leaks.items():
        print(
            f"WARNING: {heading} gives {found.target['heading']} away, and is left out: {why}. "
            "If it is known beforehand, give it a block in data/columns.toml."
        )
    print(f"Now in the repository, in data/sample: {', '.join(ships)}. It must be allowed to be there.")
    print("What was guessed stands in data/columns.toml, and is yours to change.")


RULE_OF_ROWS = """A row stays on its
side when rows are added, removed or reordered, and a second copy of it is on the same side."""
RULE_OF_TIME = """It is
the newest rows, by {time} from {start} on, because the model will be asked of days to come. The folds that compare
candidates and calibrate intervals are stretches of time as well."""
OF_NUMBERS = """Each prediction has an interval that is to hold <!--=coverage-->90 %<!--/--> of what comes true, a
[conformal interval](../../docs/glossary.md#conformal-interval): as wide as the errors on held-out rows with such a
prediction. The share inside on the test part is <!--=test_interval_coverage-->0<!--/-->. The table below has it by
group. *Where it is too low, say so to whoever asks.*

![What the model looks at](docs/importance.svg)

*How much larger the mean error is if the values of a column are dealt out anew among the test rows.*"""
OF_CLASSES = """Each answer has a probability for every class, with a
[temperature](../../docs/glossary.md#temperature) fitted to held-out rows
([calibration](../../docs/glossary.md#calibration)). It has a set of classes that is to hold the truth in
a share of <!--=coverage-->90 %<!--/--> of the rows of each class; on the test part it is
in <!--=test_set_coverage-->0<!--/--> of all rows. The
[expected calibration error](../../docs/glossary.md#expected-calibration-error)
is <!--=test_expected_calibration_error-->0<!--/-->. *Where it is too sure, say so to whoever asks.*

![Calibration](docs/calibration.svg)

*What is said with a probability, and how often it is right: on the line, probabilities are true.*

![What the model looks at](docs/importance.svg)

*How much larger the [log loss](../../docs/glossary.md#log-loss) is if the values of a column are dealt out anew among
the test rows.*"""
DIABETES_SOURCE = """The diabetes study of Efron, Hastie, Johnstone and Tibshirani (2004), "Least Angle Regression",
Annals of Statistics 32: 442 patients, and how far their disease had progressed a year later. Written out by
`make new-project` from the copy that ships with scikit-learn, in its own units."""
TERMS = "Public; the copy is that of scikit-learn, BSD 3-Clause"
OWN_SOURCE = """{name}, given to `make new-project`: the columns that are used. Say here what it is, whose it is,
and on what terms it may be passed on."""
SOURCE = """# Source of the table

{about}

Another table with these headings is packed by `python -m {package}.data.cut_sample TABLE.csv`.
"""
