"""A project of a table of one's own: what its split keeps apart, what a cell, a date and a heading mean in it."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from checkout import ROOT

from new_project import copy_layer, prepare_of, replace_in, replacements
from portfolio_shared.data.checks import DataError

Import = Callable[[str], Any]

N = 600
GROUPED = "tenant_id,rooms,heating,rent\n" + "".join(
    f"t{7 * i % 89},{i % 211},{('gas', 'oil', 'wood')[i % 3]},{500 + 10 * i % 370 + i % 7}\n" for i in range(N)
)
# A tenant stays for 12 rows, and every hundredth row is of one who moved in at the beginning.
DATED = "tenant_id,since,A b,a_b,code,rent\n" + "".join(
    f"{f't{i // 12}' if i % 100 else 'first'},{2000 + i // 30}-{1 + i % 12:02}-01,"
    f"{i % 17},{i % 13},{('None', 'B', 'x y')[i % 3]},{500 + 10 * i % 370 + i % 7}\n"
    for i in range(N)
)
HEADING, *ROWS = DATED.splitlines()
CLASSES = "\n".join(
    [
        HEADING.replace("rent", "left"),
        *(f"{row[: row.rindex(',')]},{'no' if i % 4 else 'yes'}" for i, row in enumerate(ROWS)),
    ]
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str, str], Import]]:
    """Return a function: (name, table, target) -> what imports a module of a project that is made of them."""
    before, names = list(sys.path), []

    @cache
    def make(name: str, table: str, target: str) -> Import:
        folder = tmp_path_factory.mktemp("projects")
        (folder / "own.csv").write_text(table, encoding="utf-8")
        for layer in ("common", "tabular"):
            copy_layer(ROOT / "templates" / layer, folder / name, replacements(name, 8004))
        own = prepare_of(ROOT / "templates" / "tabular")(folder / name, folder / "own.csv", target)
        replace_in(folder / name, own)
        sys.path.insert(0, str(folder / name / "src"))
        names.append(name)
        return lambda module: import_module(f"{name}.{module}")

    yield make
    sys.path[:] = before
    for module in [module for module in sys.modules if module.partition(".")[0] in names]:
        del sys.modules[module]


@pytest.fixture(scope="module")
def grouped(project: Callable[[str, str, str], Import]) -> Import:
    return project("groupedrents", GROUPED, "rent")


@pytest.fixture(scope="module")
def dated(project: Callable[[str, str, str], Import]) -> Import:
    return project("datedrents", DATED, "rent")


@pytest.fixture(scope="module")
def classes(project: Callable[[str, str, str], Import]) -> Import:
    return project("leavers", CLASSES, "left")


def parts_of(project: Import) -> Any:
    load = project("data.load")
    return load.split(load.load("full"))


def lesson(record: dict[str, Any], value: object) -> Any:
    """Return a lesson as feedback brings it, with what is read of it."""
    request = json.dumps({"items": [record]})
    return SimpleNamespace(prediction=SimpleNamespace(request=request), item=0, truth=SimpleNamespace(value=value))


def test_feedback_about_a_row_of_the_test_is_not_learned_from_where_rows_have_groups(grouped: Import) -> None:
    parts, columns = parts_of(grouped), grouped("data.columns")
    assert columns.schema().group == "tenant_id"
    tested = set(map(columns.key_of, parts.test.records))
    only_learned = next(record for record in parts.train.records if columns.key_of(record) not in tested)
    learned = grouped("models.feedback").taught(
        parts, [lesson(parts.test.records[0], 1.0), lesson(only_learned, 2.0), lesson({"rooms": 77.0}, 3.0)]
    )
    assert learned.train.target[len(parts.train) :].tolist() == [2.0, 3.0]
    assert learned.validation[len(parts.train)] == parts.validation[parts.train.records.index(only_learned)]


def test_with_a_date_and_groups_no_group_is_on_both_sides_of_the_split_or_of_a_fold(dated: Import) -> None:
    schema = dated("data.columns").schema()
    assert (schema.group, schema.time) == ("tenant_id", "since")
    data, parts = dated("data.load").load("full"), parts_of(dated)
    left_out = data.report.excluded["before the test part, of a group that is in it"]
    assert 0 < left_out < N / 10
    assert len(parts.train) + len(parts.test) == len(data.rows) == data.report.rows_kept == N - left_out
    assert max(parts.train.dates) < schema.test_from <= min(parts.test.dates)
    assert not set(parts.train.keys) & set(parts.test.keys)
    folds = list(parts.folds())
    assert len(folds) == 5
    for out, inside, outside in folds:
        assert max(inside.dates) < min(outside.dates), "a fold learns of what came before it alone"
        assert not set(inside.keys) & set(outside.keys)
        assert out.sum() == len(outside) >= 50


def test_groups_that_are_all_on_both_sides_of_a_date_are_refused(dated: Import, tmp_path: Path) -> None:
    (heading, *rows) = DATED.splitlines()
    path = tmp_path / "panel.csv"
    same = [",".join([f"t{i % 20}", *row.split(",")[1:]]) for i, row in enumerate(rows)]
    path.write_text("\n".join([heading, *same]), encoding="utf-8")
    load = dated("data.load")
    with pytest.raises(DataError, match=r'can be learned from.*group = "" in columns.toml'):
        load.split(load.load(str(path)))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["dated", "classes"])
def test_what_no_fold_holds_out_calibrates_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    made: Import = request.getfixturevalue(kind)
    parts, candidates = parts_of(made), made("evaluation.candidates")
    settings = made("config").ModelSettings(iterations=20, learning_rate=0.2, depth=2)
    compared = candidates.compare(parts, settings)
    assert all(np.isfinite(value) for candidate in compared.values() for value in candidate.metrics.values())
    chosen = compared[candidates.choose(compared)]
    assert np.isnan(chosen.model.out_of_fold[~parts.held_out]).all()
    predictor = made("models.fit").fit(parts, settings, chosen)
    assert np.isfinite(predictor.reach if kind == "dated" else [predictor.temperature, *predictor.thresholds]).all()
    learned = made("models.feedback").taught(parts, [lesson({"code": "B"}, 9.0 if kind == "dated" else "no")])
    assert learned.validation[-1] == 4, "feedback comes last"
    assert len(candidates.compare(learned, settings)[chosen.name].model.out_of_fold) == len(learned.train)


def test_a_class_that_a_fold_cannot_learn_is_named(classes: Import) -> None:
    load = classes("data.load")
    data = load.load("full")
    rare = replace(data.rows, target=np.where(np.arange(len(data.rows)) < len(data.rows) - 150, 0.0, data.rows.target))
    with pytest.raises(DataError, match="0 rows of class 'yes' can be learned from for fold 1, expected 5 or more"):
        load.split(replace(data, rows=rare))


@pytest.mark.parametrize(
    ("cell", "number"),
    [("12", 12.0), ("1,234.5", 1234.5), ("$ 7", 7.0), ("12,5", None), ("1,23", None), ("1_000", None), ("1e999", None)],
)
def test_a_cell_is_the_number_that_it_was_inferred_to_be(grouped: Import, cell: str, number: float | None) -> None:
    columns, known_number = grouped("data.columns"), import_module("infer").known_number
    repaired: Counter[str] = Counter()
    (rooms,) = (column for column in columns.schema().columns if column.name == "rooms")
    assert columns.record_of({rooms.heading: cell}, repaired)["rooms"] == number == known_number(cell, ".")
    assert repaired["rooms: no number, read as not known"] == (number is None)


def test_what_is_not_known_is_not_the_code_none(dated: Import) -> None:
    encoding = dated("models.features").fit_encoding(parts_of(dated).train.records)
    column = encoding.names().index("code = None")
    assert encoding.matrix([{"code": None}, {"code": "None"}, {"code": "B"}])[:, column].tolist() == [0, 1, 0]


@pytest.mark.parametrize(("date", "outside"), [("1999-12-31", True), ("2031-01-01", True), ("2005-06-01", False)])
def test_a_date_that_counts_as_another_one_is_said(dated: Import, date: str, *, outside: bool) -> None:
    train = parts_of(dated).train
    record = dated("data.row").record_in({"since": date})
    warnings = dated("models.features").fit_encoding(train.records).warnings(record)
    known = f"{min(train.dates)[:10]} to {max(train.dates)[:10]}"
    assert warnings == ([f"since {date} is outside of {known}, the range learned from"] if outside else [])


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"code": " x y "}, "x y"),
        ({"code": "?"}, None),
        ({"code": "  "}, None),
        ({"code": "None"}, "None"),
        ({"since": "n/a"}, None),
        ({"since": " 2004-02-29"}, "2004-02-29T00:00:00"),
    ],
)
def test_a_request_is_read_as_a_cell_of_the_file_is(dated: Import, given: dict[str, str], read: str | None) -> None:
    ((name, cell),) = given.items()
    columns = dated("data.columns")
    (column,) = (column for column in columns.schema().columns if column.name == name)
    assert (
        dated("data.row").record_in(given)[name] == read == columns.record_of({column.heading: cell}, Counter())[name]
    )


@pytest.mark.parametrize(
    ("headings", "read"),
    [
        (["A b", "a_b"], {"a_b": 1.0, "a_b_2": 2.0}),
        (["a_b", "A b"], {"a_b": 2.0, "a_b_2": 1.0}),
        (["a_b", "other"], {"a_b": None, "a_b_2": 1.0}),
        (["a_b_2", "A b"], {"a_b": 2.0, "a_b_2": 1.0}),
    ],
)
def test_an_exact_heading_is_before_a_name(dated: Import, headings: list[str], read: dict[str, float | None]) -> None:
    seen: list[Any] = []

    def cells(records: list[Any]) -> list[tuple[str, ...]]:
        seen.extend(records)
        return [("", "", "")] * len(records)

    dated("serving.batch").answer(headings, [["1", "2"]], SimpleNamespace(cells=cells))
    assert {name: seen[0][name] for name in read} == read


def test_a_class_with_a_space_or_a_bar_is_one_class_in_a_file(classes: Import) -> None:
    predictor = classes("models.predictor")
    found = predictor.Prediction("a b", 0.5, {"a b": 0.5, "c|d": 0.5}, ["a b", "c|d"], 0.9, [], [])
    ((value, probability, names),) = predictor.Predictor.cells(SimpleNamespace(predict=lambda _: [found]), [{}])
    assert (value, float(probability), json.loads(names)) == ("a b", 0.5, ["a b", "c|d"])


def test_the_page_sends_no_other_number_than_was_written() -> None:
    page = (ROOT / "templates/tabular/src/new_project/serving/web/new-project.js").read_text(encoding="utf-8")
    (read,) = re.findall(r"const truth = (Number\(.*?\));", page)
    cells = ["12,5", "1,234", "1234.5", " 7 ", "", "many"]
    script = f"const byId = () => ({{value: cell}}); let cell; for (cell of {json.dumps(cells)}) console.log({read});"
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    found = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["NaN", "NaN", "1234.5", "7", "NaN", "NaN"]
