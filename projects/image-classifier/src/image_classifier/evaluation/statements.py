"""The numbers that prose names, as prose has them; each comes from what a report recorded, or from the code."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from image_classifier.evaluation.by_code import by_code, share
from image_classifier.evaluation.candidates import FREQUENCIES, PROBE
from image_classifier.evaluation.plain import COLORS, PIXELS

Recorded = Mapping[str, Any]
MOBILENET, EFFICIENTNET, RANDOM = "MobileNetV2 (shipped)", "EfficientNet-Lite0", "MobileNetV2, random weights"


def statements(recorded: Recorded) -> dict[str, str]:
    """Return every number that prose may name, by name."""
    return {
        **dict(_of_test(recorded)),
        **dict(_of_data(recorded)),
        **dict(_of_probe(recorded["studies"])),
        **dict(_of_studies(recorded["studies"], recorded["settings"])),
        **dict(_of_declining(recorded)),
        **dict(_of_errors(recorded)),
        **by_code(),
    }


def measured_numbers(results: Path) -> dict[str, str]:
    """Return the numbers of prose that benchmarks measured, of services and of backbones; none without their files."""
    serving, backbones = (results / f"image-classifier_{name}.json" for name in ("serving", "backbones"))
    if not (serving.is_file() and backbones.is_file()):
        return {}
    row = json.loads(serving.read_text(encoding="utf-8"))["rows"]["ours"]
    rules = _of_rules(results / "image-classifier_near_ood.json")
    measured = {each["name"]: each for each in json.loads(backbones.read_text(encoding="utf-8"))["rows"]}
    shipped, others = measured[MOBILENET], {"lite": EFFICIENTNET, "random": RANDOM}
    named = {
        f"{short}_{key}": text
        for short, name in others.items()
        if name in measured
        for key, text in (
            ("accuracy", share(measured[name]["accuracy"]["estimate"])),
            ("log_loss", f"{measured[name]['validation_log_loss']:.3f}"),
            ("megabytes", f"{measured[name]['megabytes']:.1f}"),
            ("ms", f"{measured[name]['milliseconds']:.1f}"),
        )
    }
    many, alone = row["16"], row["1"]
    return (
        named
        | dict(rules)
        | {
            "shipped_features": f"{shipped['features']:,}",
            "shipped_ms": f"{shipped['milliseconds']:.1f}",
            "a_second": f"{many['a_second']:.0f}",
            "many_p99_ms": f"{many['p99']:.0f}",
            "many_refused": share(many["refused_share"], 0),
            "megabytes": f"{shipped['megabytes']:.1f}",
            "shipped_accuracy": share(shipped["accuracy"]["estimate"]),
            "shipped_log_loss": f"{shipped['validation_log_loss']:.3f}",
            "cpu_ms": f"{many['cpu_ms']:.0f}",
            "a_core": f"{1000 / many['cpu_ms']:.0f}",
            "p50_ms": f"{alone['p50']:.0f}",
            "p99_ms": f"{alone['p99']:.0f}",
            "resident_mb": f"{row['rss_mb']:.0f}",
        }
    )


def _of_rules(compared: Path) -> Iterator[tuple[str, str]]:
    """Yield what rules find of a kind left out while they refuse the same share of the known kinds."""
    if not compared.is_file():
        return
    recorded = json.loads(compared.read_text(encoding="utf-8"))
    yield "rule_refuses", share(recorded["known_refused"], 0)
    refused = {row["rule"]: float(np.mean(list(row["refused"].values()))) for row in recorded["rows"]}
    yield "rules", str(len(refused))
    names = {"served": "served", "probability": "largest probability", "first": "distance of the first models"}
    for key, rule in names.items():
        yield f"rule_{key}", share(refused[rule], 0)
    yield "rule_best", share(max(refused.values()), 0)


def ablation_numbers(ablated: Path) -> dict[str, str]:
    """Return the validation accuracies of the trainings with one small budget; none without their file."""
    if not ablated.is_file():
        return {}
    steps = json.loads(ablated.read_text(encoding="utf-8"))["steps"]
    reached = {step["name"].removeprefix("fine-tuned, "): share(step["accuracy"]["estimate"]) for step in steps}
    names = {"none": "no augmentation", "basic": "basic augmentation", "strong": "strong augmentation"}
    return {f"ablation_{key}": reached[name] for key, name in names.items() if name in reached}


def _of_test(recorded: Recorded) -> Iterator[tuple[str, str]]:
    test, baselines = recorded["test"], recorded["baselines"]
    probe = baselines.get(PROBE, test)
    yield "accuracy", share(test["accuracy"]["estimate"])
    yield "accuracy_low", share(test["accuracy"]["low"])
    yield "accuracy_high", share(test["accuracy"]["high"])
    yield "accuracy_probe", share(probe["accuracy"]["estimate"])
    yield "accuracy_pixels", share(recorded["studies"]["plain"][PIXELS]["accuracy"]["estimate"])
    yield "accuracy_colors", share(recorded["studies"]["plain"][COLORS]["accuracy"]["estimate"])
    yield "accuracy_frequencies", share(baselines[FREQUENCIES]["accuracy"]["estimate"])
    yield "accuracy_sure", share(test["accuracy_if_sure"]["estimate"])
    yield "error", share(1 - test["accuracy"]["estimate"])
    yield "unsure_share", share(test["unsure"]["estimate"])
    yield "set_coverage", share(test["set_coverage"]["estimate"])
    yield "set_coverage_redrawn", share(recorded["redrawn_coverage"]["estimate"])
    yield "calibration_error", f"{test['calibration_error']['estimate']:.3f}"
    yield "calibration_error_frequencies", f"{baselines[FREQUENCIES]['calibration_error']['estimate']:.3f}"
    yield "log_loss", f"{test['log_loss']['estimate']:.3f}"
    yield "log_loss_probe", f"{probe['log_loss']['estimate']:.3f}"
    worst = min(recorded["classes"], key=lambda group: group["recall"])
    yield "worst_class", worst["name"]
    yield "worst_recall", share(worst["recall"])
    chosen = recorded["candidates"][recorded["chosen"]]
    yield "validation_accuracy", share(chosen["accuracy"])
    yield "validation_chance", share(_chance(chosen, test, recorded["data"]["rows"]))
    if epochs := recorded["history"]:
        yield "fit_minutes", f"{len(epochs) * min(epoch['seconds'] for epoch in epochs) / 60:.0f}"
        yield "fit_minutes_taken", f"{sum(epoch['seconds'] for epoch in epochs) / 60:.0f}"
    earliest = recorded["trainings"][0]["declined"]
    yield "first_noise", share(earliest["noise"], 0)
    yield "first_street", share(earliest["street with temple"], 0)
    for part in ("validation", "test"):
        reached = [each[part]["accuracy"] for each in recorded["trainings"]]
        yield f"repeats_apart_{part}", f"{100 * (max(reached) - min(reached)):.1f}"
    of_sample = [each["metrics"]["accuracy"]["estimate"] for each in recorded["sample"]["tests"]]
    yield "sample_accuracy_own", share(of_sample[0])
    yield "sample_accuracy", share(of_sample[1])


def _chance(chosen: Recorded, test: Recorded, rows: Recorded) -> float:
    """Return how often chance sets two parts that are equally hard at least as far apart as validation and test are."""
    shares, sizes = (chosen["accuracy"], test["accuracy"]["estimate"]), (rows["validation"], rows["test"])
    both = sum(each * n for each, n in zip(shares, sizes, strict=True)) / sum(sizes)
    spread = math.sqrt(both * (1 - both) * sum(1 / n for n in sizes))
    return math.erfc(abs(shares[0] - shares[1]) / spread / math.sqrt(2)) if spread else 1.0


def _of_data(recorded: Recorded) -> Iterator[tuple[str, str]]:
    rows = recorded["data"]["rows"]
    yield "n_photos", f"{sum(rows.values()):,}"
    for part, name in (("train", "n_train"), ("validation", "n_validation"), ("test", "n_test")):
        yield name, f"{rows[part]:,}"
    cleaning = recorded["data"]["report"]
    yield "n_read", f"{cleaning['rows_read']:,}"
    yield "n_copies", str(cleaning["excluded"]["exact copy of another file of its class"])
    yield "n_two_labels", str(cleaning["excluded"]["same picture under two classes"])
    for note in cleaning["notes"]:
        if found := re.match(r"(\d+) pictures have near duplicates, in (\d+) groups", note):
            yield "n_near", found[1]
            yield "n_near_groups", found[2]
    yield "n_sample", str(sum(recorded["sample"]["rows"].values()))


def _of_probe(studies: Recorded) -> Iterator[tuple[str, str]]:
    curve, parts = studies["learning_curve"], studies["bias_variance"]
    for row in curve:
        yield f"curve_{row['per_class'] if row['draws'] > 1 else 'all'}", share(row["accuracy"][0])
    yield "curve_least", str(curve[0]["per_class"])
    yield "daisy_at_least", share(next(iter(curve[0]["recalls"].values())))
    yield "others_at_least", share(float(np.mean(list(curve[0]["recalls"].values())[1:])))
    first = list(curve[0]["recalls"].values())
    yield "daisy_ahead", f"{100 * (first[0] - float(np.mean(first[1:]))):.1f}"
    yield "daisy_at_all", share(next(iter(curve[-1]["recalls"].values())))
    yield "others_at_all", share(float(np.mean(list(curve[-1]["recalls"].values())[1:])))
    best = min(parts, key=lambda each: each["error"])
    yield "bias_share", share(best["bias"] / best["error"], 0)
    for name, row in (("stiff", parts[0]), ("best", best), ("free", parts[-1])):
        yield f"bias_{name}", share(row["bias"])
        yield f"variance_{name}", share(row["variance"])
        yield f"training_error_{name}", share(row["training_error"])
        yield f"error_{name}", share(row["error"])


def _of_studies(studies: Recorded, settings: Recorded) -> Iterator[tuple[str, str]]:
    if (gain := studies["gain"]) is not None:
        yield "gain", f"{100 * gain['accuracy']['estimate']:.1f}"
        yield "gain_low", f"{100 * gain['accuracy']['low']:.1f}"
        yield "gain_high", f"{100 * gain['accuracy']['high']:.1f}"
        yield "gain_mended", str(gain["mended"])
        yield "gain_broken", str(gain["broken"])
        low, high = gain["accuracy"]["low"], gain["accuracy"]["high"]
        yield "gain_verdict", "Yes" if low > 0 else "No: fine-tuning is worse" if high < 0 else "No"
    stages = studies["calibration_test"]
    for stage in ("before", "after"):
        yield f"ece_{stage}", f"{stages[stage]['metrics']['calibration_error']['estimate']:.3f}"
        yield f"loss_{stage}", f"{stages[stage]['metrics']['log_loss']['estimate']:.3f}"
    points = next(iter(studies["risk_coverage"].values()))
    for coverage in (0.8, 0.9):
        point = min(points, key=lambda each: abs(each["coverage"] - coverage))
        yield f"answered_{100 * coverage:.0f}", share(coverage, 0)
        yield f"error_at_{100 * coverage:.0f}", share(point["error"])
        yield f"confidence_at_{100 * coverage:.0f}", share(point["least_confidence"], 0)
    for each in studies["changed"]:
        key = "_".join(each["name"].replace(":", "").split()[:2])
        yield f"changed_{key}", share(next(iter(each["accuracy"].values())))
    for each in studies["thirds"]:
        key = f"{each['by'].split()[0]}_{each['name'].split()[-1]}"
        yield f"third_{key}", share(next(iter(each["accuracy"].values()))[0])
    for key in ("rate", "weight_decay", "label_smoothing", "dropout", "averaging"):
        yield f"setting_{key}", f"{settings[key]:g}"
    yield "map_neighbors", share(studies["map"]["right"])


def _of_declining(recorded: Recorded) -> Iterator[tuple[str, str]]:
    near, models = recorded["near_out_of_distribution"], recorded["studies"]["declined"]
    yield "near_declined", share(float(np.mean([kind["unknown"]["estimate"] for kind in near])), 0)
    yield "near_known_declined", share(float(np.mean([kind["known"]["estimate"] for kind in near])), 0)
    for name, model in zip(("", "_probe"), models.values(), strict=False):
        yield f"far_declined{name}", share(model["far_mean"], 0)
        others = [value for kind, value in model["far"].items() if kind != "noise"]
        yield f"far_but_noise{name}", share(float(np.mean(others)), 0)
        for kind, value in {**model["near"], **model["far"]}.items():
            word = "painting" if kind.startswith("painting") else kind.split()[-1]
            yield f"declined_{word}{name}", share(value, 0)
        for file, said in model["photographs"].items():
            yield f"{file.split('.')[0]}_said{name}", said["label"]
            yield f"{file.split('.')[0]}_confidence{name}", share(said["probability"], 0)
            yield f"{file.split('.')[0]}_declined{name}", "declines" if said["unsure"] else "does not decline"


def _of_errors(recorded: Recorded) -> Iterator[tuple[str, str]]:
    """Yield the mistakes that no doubt caught, the hardest kind, and losses before and after calibration."""
    mistakes = recorded["studies"]["mistakes"]
    yield "mistakes", str(len(mistakes))
    yield "mistakes_declined", str(sum(each["unsure"] for each in mistakes))
    yield "mistakes_least", share(min(each["confidence"] for each in mistakes), 0)
    worst = min(recorded["classes"], key=lambda group: group["recall"])
    yield "worst_wrong", str(round(worst["pictures"] * (1 - worst["recall"])))
    yield "f1", share(recorded["test"]["f1_macro"]["estimate"])
    yield "validation_loss", f"{recorded['candidates'][recorded['chosen']]['log_loss']:.3f}"
    if epochs := recorded["history"]:
        yield "validation_loss_epoch", f"{min(epoch['validation_loss'] for epoch in epochs):.3f}"
    for each in recorded["studies"]["changed"]:
        key = "_".join(each["name"].replace(":", "").split()[:2])
        yield f"unsure_{key}", share(next(iter(each["unsure"].values())))
