"""`make new-project` before anything runs: what is refused, and what names from outside mean in what is made."""

import gzip
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import ROOT, clean_environment

from new_project import (
    NewProjectError,
    check_name,
    copy_layer,
    importable,
    make,
    one_line,
    prepare_of,
    replace_in,
    replaced,
    replacements,
)

TABLE = "rent;rooms\n" + "".join(f"{500 + 10 * i % 370};{i % 7}\n" for i in range(200))


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., str]:
    """Return a function: (content of a table, target) -> why no project is made of it."""

    def refusal(content: str, target: str = "rent") -> str:
        table = tmp_path / "table.csv"
        table.write_text(content, encoding="utf-8")
        before = sorted((ROOT / "projects").iterdir())
        with pytest.raises(NewProjectError) as error:
            make("rents", "tabular", data=table, target=target)
        assert sorted((ROOT / "projects").iterdir()) == before
        assert "\n" not in str(error.value)
        return str(error.value)

    return refusal


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Rents", "is no name of a project"),
        ("my_rents", "is no name of a project"),
        ("r", "is no name of a project"),
        ("a-name-of-so-many-words", "is no name of a project"),
        ("housing", "projects/housing exists: choose another name; what was begun goes on with `make setup` and "),
        ("json", "a Python module, json, which it would hide"),
        ("portfolio-shared", "a Python module, portfolio_shared"),
        ("yield", "a Python module, yield"),
        ("image", "settings of image-classifier begin with IMAGE_CLASSIFIER_"),
        ("serving", "`make bench-serving` means something else"),
        ("index", "a part of the stack"),
        ("compose", "a part of the stack"),
    ],
)
def test_a_name_that_cannot_be_is_refused(name: str, why: str) -> None:
    with pytest.raises(NewProjectError, match=re.escape(why)):
        check_name(name, ROOT)


def test_a_kind_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(NewProjectError, match=r"KIND=tabel is none of images, .*; did you mean tabular\?"):
        make("rents", "tabel")


@pytest.mark.parametrize(
    ("content", "target", "why"),
    [
        ("", "rent", "the file is empty"),
        ("rent;rooms\n", "rent", "has 0 rows; at least 100 are needed"),
        (TABLE, "", "TARGET is missing: name the column to predict; there are rent, rooms"),
        (TABLE, "rents", "TARGET='rents' is no column; there are rent, rooms; did you mean TARGET='rent'?"),
        (TABLE.replace("rent;", "rent;rent;", 1), "rent", "headings that occur more than once: rent"),
        (TABLE + "1;2;3\n", "rent", "line 202 has 3 cells, expected 2; left over: '3'; correct the line, or drop it"),
        (
            "rooms;let\n" + "3;yes\n4;no\n" * 80 + "5;?\n5;so\n",
            "let",
            "such as 'so' (1): expected a number, or of 2 to 20",
        ),
        ("rooms;let\n" + "".join(f"3;{i}x\n" for i in range(200)), "let", "let has 200 values, such as '0x' (1)"),
        ("rooms;let\n" + "3;yes\n" * 200, "let", "let has 1 values, such as 'yes': expected"),
        ("rooms;let\n" + "3;\n" * 120, "let", "0 of 120 rows have let; at least 100 are needed"),
        ("rent;same\n" + "".join(f"{i};x\n" for i in range(200)), "rent", "is left to learn from: same: it is 'x'"),
    ],
)
def test_a_table_that_nothing_can_be_learned_of_is_refused(
    own: Callable[..., str], content: str, target: str, why: str
) -> None:
    assert why in own(content, target)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NewProjectError, match=r"nowhere\.csv cannot be read: No such file"):
        make("rents", "tabular", data=tmp_path / "nowhere.csv", target="rent")


def test_a_target_without_a_table_is_refused() -> None:
    with pytest.raises(NewProjectError, match="TARGET=rent is a column of DATA, which is missing"):
        make("rents", "tabular", target="rent")


def test_what_was_put_in_is_not_replaced_again() -> None:
    assert replaced("new-project of NEW_PROJECT at 8999", replacements("new-project", 8004)) == (
        "new-project of NEW_PROJECT at 8004"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rents 2024.csv", "rents 2024.csv"),
        ('a"b\\c.csv', "a b c.csv"),
        ("<b>Größe</b>\n| (m²)", "b Größe b (m²)"),
        ("${x}`y`[z](w)*&;'", "x y z (w)"),
        ("?!", "data"),
        ("x" * 80, "x" * 60),
    ],
)
def test_a_name_from_outside_means_nothing_in_code_and_documents(text: str, expected: str) -> None:
    assert one_line(text) == expected


@pytest.mark.parametrize(("name", "file"), [("sample", "src/sample/config.py"), ("rents", "src/rents/config.py")])
def test_words_are_replaced_wherever_the_project_lies_but_in_its_data(tmp_path: Path, name: str, file: str) -> None:
    folder = tmp_path / "data" / "sample" / name
    texts = {file: "new", f"src/{name}/data/sample/SOURCE.md": "new", f"src/{name}/data/sample/rows.csv": "OLD"}
    for inside in texts:
        (folder / inside).parent.mkdir(parents=True, exist_ok=True)
        (folder / inside).write_text("OLD", encoding="utf-8")
    replace_in(folder, {"OLD": "new"})
    assert {inside: (folder / inside).read_text(encoding="utf-8") for inside in texts} == texts


def test_what_is_imported_of_a_new_project_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "src" / "some_where").mkdir(parents=True)
    (tmp_path / "src" / "some_where" / "config.py").write_text("WORD = 5", encoding="utf-8")
    before = list(sys.path)
    with importable(tmp_path) as module:
        assert module("config").WORD == 5
    assert sys.path == before
    assert not [name for name in sys.modules if name.startswith("some_where")]


@pytest.mark.parametrize(("largest", "whole", "says"), [(10**6, True, "200 rows"), (100, False, "one in ")])
def test_a_part_of_a_table_does_not_call_itself_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int, *, whole: bool, says: str
) -> None:
    copy_layer(ROOT / "templates/tabular", tmp_path / "rents", replacements("rents", 8004))
    (tmp_path / 'a"\\b.csv').write_text(TABLE, encoding="utf-8")
    prepare = prepare_of(ROOT / "templates/tabular")
    monkeypatch.setitem(prepare.__globals__, "LARGEST", largest)
    words = prepare(tmp_path / "rents", tmp_path / 'a"\\b.csv', "rent")
    assert words["whole=True"] == f"whole={whole}"
    assert words["SAMPLE_NAME"].startswith(says)
    assert words["SAMPLE_NAME"].endswith("200 rows of a b.csv")


def test_ids_and_texts_that_nothing_reads_stay_out_of_the_repository(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_layer(ROOT / "templates/tabular", tmp_path / "rents", replacements("rents", 8004))
    rows = [f"{500 + 10 * i % 370};person {i // 2};{i % 7};{2 * (500 + 10 * i % 370)}" for i in range(0, 400, 2)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["rent;tenant_id;rooms;twice", *rows, rows[0]]), encoding="utf-8")
    prepare_of(ROOT / "templates/tabular")(tmp_path / "rents", table, "rent")
    with gzip.open(tmp_path / "rents/src/rents/data/sample/table.csv.gz", "rt", encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    assert lines[:3] == ["rent;rooms;twice;row", "500;0;1000;1", "520;2;1040;2"]
    assert lines[1] == lines[-1]
    assert "in data/sample: rent, rooms, twice, row. It must be allowed" in capsys.readouterr().out


def test_headings_from_outside_are_plain_words_in_what_is_written(tmp_path: Path) -> None:
    copy_layer(ROOT / "templates/tabular", tmp_path / "rents", replacements("rents", 8004))
    days = [f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(200)]
    rows = "".join(f"{500 + 10 * i % 370},{i % 7},{day}\n" for i, day in enumerate(days))
    table = tmp_path / "table.csv"
    table.write_text(f'"rent ""\\\n</title>",rooms,"<script>since"\n{rows}', encoding="utf-8")
    words = prepare_of(ROOT / "templates/tabular")(tmp_path / "rents", table, 'rent "\\\n</title>')
    assert words["TARGET_LABEL"] == "Rent title"
    (rule,) = (text for word, text in words.items() if word.startswith("A row stays"))
    assert "by script since from 2024-" in rule


# Makes a project only where FAILS does not say that this program fails.
STUB = '#!/bin/sh\necho "$(basename "$0") $*" >>"$(dirname "$0")/calls"\ntest "$(basename "$0")" != "$FAILS"\n'


@pytest.mark.parametrize(("fails", "calls"), [("python", 1), ("uv", 2), ("rents", 3), ("nothing", 3)])
def test_what_fails_after_it_was_made_says_how_to_go_on(tmp_path: Path, fails: str, calls: int) -> None:
    for program in ("python", "uv", "rents"):
        (tmp_path / program).write_text(STUB, encoding="utf-8")
        (tmp_path / program).chmod(0o755)
    command = ["make", "--old-file=setup", "new-project", "NAME=rents", "KIND=tabular", f"BIN={tmp_path}"]
    environment = clean_environment() | {"FAILS": fails}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (fails == "nothing")
    assert ("goes on: make setup && " in done.stderr) == (fails in ("uv", "rents"))
    assert len((tmp_path / "calls").read_text(encoding="utf-8").splitlines()) == calls
