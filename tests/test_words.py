"""Every text is in American English and in the words of the field; names that are stored or others' are listed."""

import re
from pathlib import PurePath

import pytest
from checkout import ROOT, tracked

VERBS = (
    *("normal", "standard", "recogn", "optim", "quant", "organ", "summar", "initial", "serial", "penal", "general"),
    *(
        "regular",
        "visual",
        "minim",
        "maxim",
        "util",
        "custom",
        "random",
        "token",
        "categor",
        "priorit",
        "memor",
        "final",
    ),
)
BRITISH = (
    rf"(?:{'|'.join(VERBS)})is(?:e|ing|ation)",
    *(
        "centre",
        "labell(?:ed(?!by)|ing)",
        "modell",
        "travell",
        "catalogue",
        "colour",
        "behaviour",
        "neighbour",
        "favour",
    ),
    *("honour", "licence", "defence", r"\bgrey", "theatre", "judgement", "learnt", "towards", "artefact", "storey"),
    *("whilst", "amongst", r"\bper\s+cent\b"),
)
OURS = ("dearer", "dearest", "stranger", r"put\s+aside", r"films\s+known", r"history\s+fades")
"""Words that said something to us, and nothing to who reads it first."""
REFUSED = re.compile("|".join((*BRITISH, *OURS)))
NAMES = {
    "catalogue": r"projects/recommender/|benchmarks/|scripts/build_demo|tests/|shared/.*diversity",  # a path of the API
    "quantis": r"projects/image-classifier/|benchmarks/system_design\.py",  # a key of reports and of bundles
    "centre": r"projects/image-classifier/.*neighbors\.py|demo/image-classifier/novelty\.js",  # an array of bundles
    "modell": r"projects/housing/.*(features|families)\.py",  # a feature's name in bundles
    "customise": r".*/cli\.py",  # a method of pydantic-settings
    "per cent": r"tests/test_stated_numbers\.py",  # which finds it
}
"""Words that are names -> the files that may have them."""
NO_PROSE = {".csv", ".lock", ".svg", ".json", ".txt", ".png", ".jpg", ".webp", ".gz", ".zip", ".onnx", ".npz"}


def refused(name: str, text: str) -> list[str]:
    """Return line and word of each word that a file may not have."""
    allowed = [word for word, files in NAMES.items() if re.match(files, name)]
    return [
        f"{name}:{text.count(chr(10), 0, found.start()) + 1}: {found[0]}"
        for found in REFUSED.finditer(text.lower())
        if not any(found[0].startswith(word) for word in allowed)
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Centre is\nnormalised, 5 per\ncent", ["centre", "normalise", "per\ncent"]),
        ("upper center, organist, optimistic, minimal, aria-labelledby, fine-grained, percentile", []),
        ("a labelled film is dearer", ["labelled", "dearer"]),
    ],
)
def test_words_are_found_where_they_are_words(text: str, words: list[str]) -> None:
    assert [each.split(": ", 1)[1] for each in refused("a.md", text)] == words


def test_a_name_is_allowed_where_it_is_one() -> None:
    assert refused("projects/recommender/a.py", "catalogue, colour") == ["projects/recommender/a.py:1: colour"]


@pytest.mark.long
def test_every_text_has_the_words_of_the_field() -> None:
    found, used = [], set()
    for name in tracked():
        path = ROOT / name
        if (
            name == "tests/test_words.py"
            or PurePath(name).suffix in NO_PROSE
            or path.is_symlink()
            or not path.is_file()
        ):
            continue
        text = path.read_text(encoding="utf-8")
        found += refused(name, text)
        used |= {word for word, files in NAMES.items() if re.match(files, name) and word in text.lower()}
    assert found == []
    assert used == set(NAMES), "take out what no file has"
