"""The committed report: it reaches its limits, and is of the public files."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from image_classifier.evaluation.candidates import FINE_TUNED, PROBE
from image_classifier.evaluation.out_of_distribution import KINDS
from portfolio_shared.evaluation.sections import read_section

PROJECT = Path(__file__).parents[1]
DOCS = PROJECT / "docs"
RECORDED = DOCS / "report.json"
RESULTS = PROJECT.parents[1] / "benchmarks" / "results"
recorded_run = pytest.mark.skipif(not RECORDED.is_file(), reason=f"no {RECORDED.name} yet: `make reports` writes it")


@recorded_run
def test_the_committed_report_reaches_its_limits():
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    test = {name: interval["estimate"] for name, interval in recorded["test"].items()}
    assert recorded["chosen"] == FINE_TUNED
    assert test["accuracy"] >= 0.925
    assert test["unsure_out_of_distribution"] >= 0.8
    assert test["unsure"] <= 0.065  # thresholds are exceeded by 5 % of the validation part; three standard errors
    near = {
        side: np.mean([kind[side]["estimate"] for kind in recorded["near_out_of_distribution"]])
        for side in ("unknown", "known")
    }
    assert near["unknown"] >= 0.35
    assert near["known"] <= 0.08  # more than on the validation part, and more than the 5 % that were aimed at
    probe, coverage = recorded["baselines"][PROBE]["accuracy"], recorded["test"]["set_coverage"]
    assert probe["estimate"] >= 0.9
    assert 0.93 <= recorded["redrawn_coverage"]["estimate"] <= 0.97
    assert coverage["low"] <= 0.97
    assert coverage["high"] >= 0.93
    # What fine-tuning gains is no chance.
    assert recorded["test"]["accuracy"]["low"] >= probe["estimate"]
    assert set(recorded["out_of_distribution"]) == set(KINDS)


@recorded_run
@pytest.mark.xfail(reason="0.032 was measured; docs/training.md lists the limit as not kept", strict=True)
def test_the_committed_report_is_calibrated_within_its_limit():
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert recorded["test"]["calibration_error"]["estimate"] <= 0.03


@recorded_run
@pytest.mark.real_data
def test_the_committed_data_section_is_that_of_the_public_files(flowers):
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert (recorded["data"]["source"], recorded["data"]["sha256"]) == ("full", flowers.sha256)
    assert sum(recorded["data"]["rows"].values()) == len(flowers.photos)
    # The fixture names the archive by its path, and so the table another way.
    table = replace(flowers.report, name=recorded["data"]["name"]).as_markdown()
    assert read_section(PROJECT / "DATA_SHEET.md", "data") == table.strip("\n")


def test_what_is_said_of_rules_for_near_classes_was_measured():
    recorded = json.loads((RESULTS / "image-classifier_near_ood.json").read_text(encoding="utf-8"))
    found = {row["rule"]: np.mean(list(row["refused"].values())) for row in recorded["rows"]}
    written = (DOCS / "out-of-distribution.md").read_text(encoding="utf-8")
    said = " ".join(re.sub(r"<!--.*?-->|[][]|\(\S+\.md\S*\)", "", written).split())
    assert (
        f"the largest probability finds {found['largest probability']:.0%} of the kind left out, the first of the "
        f"three distances alone {found['distance of the first models']:.0%}, and the mean of the three, which is "
        f"served, {found['served']:.0%}"
    ).replace("%", " %") in said
    best = f"no rule that was compared on these features finds more than {max(found.values()):.0%}"
    assert best.replace("%", " %") in said
    assert max(found, key=found.__getitem__) == "served"
    assert len(found) == 9
