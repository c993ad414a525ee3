"""The sections of the documents that state the studies of a report (`evaluation/studies.py`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from image_classifier.evaluation.candidates import FREQUENCIES, PROBE
from image_classifier.evaluation.plain import PIXELS
from portfolio_shared.evaluation.sections import interval_cell, markdown_table

Recorded = Mapping[str, Any]
UNSTEADY = ("noise", "handwritten digit", "street with temple")
"""Kinds of pictures of which trainings by the same settings declined different shares."""
FLICKR = "https://www.flickr.com/photo.gne?id="


def study_tables(recorded: Recorded) -> dict[str, str]:
    """Return the sections of the studies, from what `record_studies` returned."""
    studies = recorded["studies"]
    return {
        "result": result_table(recorded),
        "sides": sides_table(studies["sides"], recorded["settings"]["epochs"]),
        "calibration-test": calibration_table(studies["calibration_test"]),
        "learning-curve": curve_table(studies["learning_curve"]),
        "bias-variance": parts_table(studies["bias_variance"]),
        "thirds": thirds_table(studies["thirds"]),
        "changed": changed_table(studies["changed"]),
        "declined": declined_table(studies["declined"]),
        "shown": shown_table(recorded),
        "trainings": trainings_table(recorded["trainings"]),
    }


def percent(share: float) -> str:
    """Return a share as `93.2 %`."""
    return f"{100 * share:.1f} %"


def penalty(strength: float) -> str:
    """Return the penalty of an inverse strength.

    >>> penalty(0.00003), penalty(0.3)
    ('33,333', '3.3')
    """
    return f"{1 / strength:,.{0 if strength < 0.1 else 1}f}"


def result_table(recorded: Recorded) -> str:
    """Return the four rows that matter: right answers, loss, declined flowers, right answers among those given."""
    test, baselines = recorded["test"], recorded["baselines"]
    probe = baselines.get(PROBE, test)
    pixels, frequencies = recorded["studies"]["plain"][PIXELS], baselines[FREQUENCIES]
    models = (test, probe, pixels, frequencies)
    served = recorded["studies"]["declined"]
    of_probe = served.get(PROBE, next(iter(served.values())))
    rows = [
        ["right", *(_share(each["accuracy"]) for each in models)],
        ["log loss", *(interval_cell(each["log_loss"]) for each in models)],
        ["flowers that it declines", _share(test["unsure"]), percent(of_probe["flowers"]), "", ""],
        ["right where it answers", _share(test["accuracy_if_sure"]), percent(of_probe["right_if_sure"]), "", ""],
    ]
    headings = [f"{recorded['data']['rows']['test']} test photographs", recorded["chosen"], PROBE, PIXELS, FREQUENCIES]
    return markdown_table(headings, rows)


def sides_table(sides: Mapping[str, int], epochs: int) -> str:
    """Return in which size each stage sees the photographs, and why."""
    rows = [
        [
            "fine-tuning",
            f"{sides['training']} pixels",
            f"random parts show a flower larger than it is; {epochs} epochs",
        ],
        [
            "served after it",
            f"{sides['served']} pixels",
            "whole flowers then look as large as the random parts made them",
        ],
        ["linear probe", f"{sides['probe']} pixels", "nothing is enlarged; in cross-validation a point better"],
    ]
    return "\n".join(
        ["| stage | side | why |", "| --- | ---: | --- |", *("| " + " | ".join(row) + " |" for row in rows)]
    )


def calibration_table(stages: Mapping[str, Any]) -> str:
    """Return calibration on the test part before and after the temperature."""
    rows = [
        [title, *(interval_cell(stages[stage]["metrics"][name]) for stage in ("before", "after"))]
        for name, title in (("calibration_error", "expected calibration error"), ("log_loss", "log loss"))
    ]
    return markdown_table(["test part", "before the temperature", "after it"], rows)


def curve_table(curve: Sequence[Recorded]) -> str:
    """Return the learning curve, and the recall of each label along it."""
    labels = list(curve[0]["recalls"])
    rows = []
    for each in curve:
        mean, low, high = each["accuracy"]
        spread = f" ({low:.3f} to {high:.3f})" if each["draws"] > 1 else ""
        found = [f"{each['recalls'][label]:.3f}" for label in labels]
        rows.append([f"{each['per_class']}{'' if each['draws'] > 1 else ' (all)'}", f"{mean:.3f}{spread}", *found])
    return markdown_table(["training pictures a class", "accuracy", *(f"recall, {label}" for label in labels)], rows)


def parts_table(parts: Sequence[Recorded]) -> str:
    """Return the parts of the error by strength of the penalty."""
    names = ("training_error", "error", "bias", "variance")
    rows = [[penalty(each["strength"]), *(percent(each[name]) for name in names)] for each in parts]
    return markdown_table(["penalty", "training error", "validation error", "bias", "variance"], rows)


def thirds_table(thirds: Sequence[Recorded]) -> str:
    """Return the accuracy in thirds of the test part."""
    models = list(thirds[0]["accuracy"])
    rows = [
        [
            f"{each['by']}: {each['name']} ({each['pictures']})",
            *(_share_of(each["accuracy"][model]) for model in models),
        ]
        for each in thirds
    ]
    return markdown_table(["third of the test photographs", *models], rows)


def changed_table(changed: Sequence[Recorded]) -> str:
    """Return accuracy and declined share after each change."""
    models = list(changed[0]["accuracy"])
    rows = [
        [each["name"], *(f"{percent(each['accuracy'][m])} ({percent(each['unsure'][m])})" for m in models)]
        for each in changed
    ]
    return markdown_table(["test photographs", *(f"{model}: right (declined)" for model in models)], rows)


def declined_table(declined: Mapping[str, Recorded]) -> str:
    """Return what each model declines of what is no flower of the kinds, near pictures first."""
    models = list(declined)
    rows = []
    for which in ("near", "far"):
        kinds = declined[models[0]][which]
        rows += [[kind, *(f"{100 * declined[each][which][kind]:.0f} %" for each in models)] for kind in kinds]
    for name in declined[models[0]]["photographs"]:
        cells = [declined[model]["photographs"][name] for model in models]
        rows.append([name, *(f"{c['label']}, {c['probability']:.0%}; {c['unsure'] or 'not declined'}" for c in cells)])
    return markdown_table(["20 pictures each, and two photographs", *models], rows)


def shown_table(recorded: Recorded) -> str:
    """Return whose photographs the figures show that are not in the sample."""
    rows = []
    for name in recorded["studies"]["shown"]:
        number = name.rsplit("/", 1)[-1].split("_")[0]
        rows.append([name, f"[{number}]({FLICKR}{number})"])
    return markdown_table(["file in flower_photos", "page with photographer and title"], rows)


def trainings_table(trainings: Sequence[Recorded]) -> str:
    """Return the trainings of the same photographs by the same settings, the published one last."""
    rows = []
    for number, each in enumerate(trainings, 1):
        name = f"{number} (published)" if number == len(trainings) else str(number)
        accuracies = [percent(each[part]["accuracy"]) for part in ("validation", "test")]
        kinds = [f"{100 * each['declined'][kind]:.0f} %" for kind in UNSTEADY]
        rows.append([name, *accuracies, *(f"{each[part]['log_loss']:.3f}" for part in ("validation", "test")), *kinds])
    losses = ["validation log loss", "test log loss"]
    headings = [
        "training",
        "validation accuracy",
        "test accuracy",
        *losses,
        *(f"declined: {kind}" for kind in UNSTEADY),
    ]
    return markdown_table(headings, rows)


def _share(stored: Mapping[str, float]) -> str:
    return _share_of((stored["estimate"], stored["low"], stored["high"]))


def _share_of(interval: Sequence[float]) -> str:
    estimate, low, high = (100 * value for value in interval)
    return f"{estimate:.1f} % ({low:.1f} to {high:.1f})"
