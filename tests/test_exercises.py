"""The mistakes that docs/exercises.md lets a reader make are lines that are there, once."""

import re

import pytest
from checkout import ROOT

SECTIONS = re.split(r"^## \d+\. ", (ROOT / "docs/exercises.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("section", SECTIONS, ids=[section.partition("\n")[0] for section in SECTIONS])
def test_the_line_to_replace_stands_in_its_file_once_and_the_test_exists(section: str) -> None:
    (file,) = re.findall(r"^In `(\S+)`", section, re.MULTILINE)
    (code,) = re.findall(r"^```python\n(.+?)(?: +# replace|\n# replace)", section, re.MULTILINE)
    (test,) = re.findall(r"-m pytest (\S+)", section)
    assert (ROOT / file).read_text(encoding="utf-8").count(code) == 1
    assert (ROOT / test).is_file()


def test_there_are_as_many_as_are_promised() -> None:
    assert len(SECTIONS) == 8
