"""What the three services would need at 1,000 times the load: fills docs/system-design.md from what was measured.

    make system-design

What a request takes comes from `results/*_serving.json` and `results/log_rows.json`, what a training takes from the
projects' `docs/report.json` and `results/recommender_large.json`. Prices and habits come from `system_design.toml`,
which names their sources.
"""

import json
import math
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from portfolio_shared.evaluation.documents import documents_of_all, fill_documents
from portfolio_shared.evaluation.sections import markdown_table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SCALES = (1, 10, 100, 1000)
DAY, MONTH_HOURS, MONTH_DAYS = 86_400, 730, 30
CORES_OF_MACHINE, LEAST_MACHINES = 2, 2
TITLES = {"housing": "houses", "recommender": "films", "image-classifier": "pictures"}


@dataclass(frozen=True)
class Request:
    """What one request takes, as measured."""

    cpu_ms: float
    log_bytes: float
    answer_bytes: float


@dataclass(frozen=True)
class Need:
    """What a service needs in the busiest minute, and dollars a month."""

    requests_a_day: float
    peak_a_second: float
    busy_cores: float
    machines: int
    serving: float
    log: float
    egress: float

    @property
    def total(self) -> float:
        return self.serving + self.log + self.egress


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def needed(requests_a_day: float, each: Request, assumed: Mapping[str, float]) -> Need:
    """Return what so many requests a day need.

    Examples
    --------
    >>> assumed = dict(peak=4, busy=0.5, core_hour=0.04, kept_days=30, disk_gb_month=0.1, egress_gb=0.1)
    >>> need = needed(86_400_000, Request(cpu_ms=1.0, log_bytes=2000, answer_bytes=2000), assumed)
    >>> need.peak_a_second, need.busy_cores, need.machines, round(need.serving), round(need.log)
    (4000.0, 4.0, 4, 234, 518)
    """
    peak = requests_a_day / DAY * assumed["peak"]
    cores = peak * each.cpu_ms / 1000
    machines = max(LEAST_MACHINES, math.ceil(cores / assumed["busy"] / CORES_OF_MACHINE))
    return Need(
        requests_a_day=requests_a_day,
        peak_a_second=peak,
        busy_cores=cores,
        machines=machines,
        serving=machines * CORES_OF_MACHINE * assumed["core_hour"] * MONTH_HOURS,
        log=requests_a_day * assumed["kept_days"] * each.log_bytes / 1e9 * assumed["disk_gb_month"],
        egress=requests_a_day * MONTH_DAYS * each.answer_bytes / 1e9 * assumed["egress_gb"],
    )


def needs_table(each: Request, load: Mapping[str, Any], assumed: Mapping[str, float]) -> str:
    """Return a row for each scale: load, cores, machines and dollars a month."""
    rows = []
    for scale in SCALES:
        need = needed(load["requests"] * scale, each, assumed)
        cells = [f"{scale:,}", f"{need.requests_a_day:,.0f}", _short(need.peak_a_second), _short(need.busy_cores)]
        rows.append([*cells, str(need.machines), *map(_dollars, (need.serving, need.log, need.egress))])
    headings = ["times", f"{load['what']} a day", "a second at the peak", "cores busy then"]
    return markdown_table([*headings, "machines of two cores", "serving a month", "log", "traffic out"], rows)


def costs_table(
    requests: Mapping[str, Request], stated: Mapping[str, Any], assumed: Mapping[str, float], people: Sequence[float]
) -> str:
    """Return what the machines of all services and the people cost a month, at each scale."""
    rows = []
    for scale, persons in zip(SCALES, people, strict=True):
        needs = [needed(stated[name]["requests"] * scale, each, assumed) for name, each in requests.items()]
        machines, wages = sum(need.total for need in needs), persons * assumed["person_month"]
        answers = sum(need.requests_a_day for need in needs) * MONTH_DAYS / 1e6
        cells = [f"{scale:,}", f"${machines:,.0f}", f"${machines / answers:,.2f}", f"{persons:g}", f"${wages:,.0f}"]
        rows.append([*cells, f"{machines / (machines + wages):.0%}".replace("%", " %")])
    headings = ["times", "machines a month", "for a million answers", "people", "people a month"]
    return markdown_table([*headings, "share of the machines"], rows)


def assumptions_table(stated: Mapping[str, Mapping[str, Any]]) -> str:
    """Return every assumption with its source."""
    rows = [[entry["what"], f"{entry['value']:,} {entry['unit']}", entry["source"]] for entry in stated.values()]
    return markdown_table(["assumed", "value", "source"], rows)


def measured_table(serving: Mapping[str, Any], requests: Mapping[str, Request]) -> str:
    """Return what a request of each service takes, as `make bench-serving` measured it."""
    rows = []
    for name, measured in serving.items():
        ours = measured["rows"]["ours"]
        many = ours["16"]
        cells = [f"{many['cpu_ms']:.2f}", f"{many['a_second']:,.0f}", f"{ours['1']['p50']:.1f}", f"{many['p99']:.0f}"]
        kilobytes = [f"{size / 1000:.1f}" for size in (requests[name].answer_bytes, requests[name].log_bytes)]
        rows.append([TITLES[name], *cells, f"{ours['rss_mb']:.0f}", f"{ours['ready_seconds']:.1f}", *kilobytes])
    headings = ["service, one process", "CPU a request, ms", "answers a second", "p50 alone, ms", "p99 of 16, ms"]
    return markdown_table([*headings, "memory, MB", "ready after, s", "answer, kB", "log row, kB"], rows)


def catalog_table(
    row: Mapping[str, Any], each: Request, films: int, load: Mapping[str, Any], assumed: Mapping[str, float]
) -> str:
    """Return what larger catalogs need if every film is scored, at 1,000 times the people."""
    fixed = row["our /healthz"]["16"]["cpu_ms"]
    scoring = each.cpu_ms - fixed
    rows = []
    for n_films in (films, 100_000, 1_000_000):
        cpu_ms = fixed + scoring * n_films / films
        need = needed(load["requests"] * SCALES[-1], replace(each, cpu_ms=cpu_ms), assumed)
        square = n_films**2 * 8 / 1e9
        cells = [f"{cpu_ms:.1f}", _short(need.busy_cores), str(need.machines), f"${need.serving:,.0f}"]
        rows.append([f"{n_films:,}", *cells, f"{n_films * 512 * 4 / 1e6:,.0f} MB", f"{_short(square)} GB"])
    headings = ["films, all of them scored", "CPU a list, ms", "cores busy", "machines", "serving a month"]
    return markdown_table([*headings, "factors of rank 512", "matrix of films by films"], rows)


def seconds_of(report: Mapping[str, Any]) -> float:
    """Return how long a training takes; one of epochs as if each took as long as the one that was disturbed least."""
    if epochs := report.get("history"):
        return len(epochs) * min(float(epoch["seconds"]) for epoch in epochs)
    return float(report["candidates"][report["chosen"]]["fit_seconds"])


def numbers(
    records: Mapping[str, Any],
    requests: Mapping[str, Request],
    assumed: Mapping[str, float],
    loads: Mapping[str, Any],
) -> dict[str, str]:
    """Return the numbers that the prose of the document names, as text."""
    cpu = {name: each.cpu_ms for name, each in requests.items()}
    largest = {name: needed(loads[name]["requests"] * SCALES[-1], each, assumed) for name, each in requests.items()}
    fit = {name: seconds_of(report) for name, report in records["reports"].items()}
    total = sum(need.total for need in largest.values())
    stated = {
        "cores_bought": f"{sum(need.machines for need in largest.values()) * CORES_OF_MACHINE}",
        "total": f"${total:,.0f}",
        "person_month": f"${assumed['person_month']:,.0f}",
        "share_of_person": f"{total / assumed['person_month']:.0%}".replace("%", " %"),
        "kept_days": f"{assumed['kept_days']:.0f}",
        "busy": f"{assumed['busy'] * 100:.0f} %",
        "housing.fit_seconds": f"{fit['housing']:.1f}",
        "housing.fit_minutes": f"{fit['housing'] * SCALES[-1] / 60:.0f}",
        "image-classifier.fit_minutes": f"{fit['image-classifier'] / 60:.0f}",
        "image-classifier.fit_days": f"{fit['image-classifier'] * SCALES[-1] / DAY:.0f}",
    }
    for name, need in largest.items():
        stated[f"{name}.requests"] = f"{need.requests_a_day:,.0f}"
        stated[f"{name}.peak"] = f"{need.peak_a_second:,.0f}"
        stated[f"{name}.cpu_ms"] = f"{cpu[name]:.{2 if cpu[name] < 10 else 0}f}"
        stated[f"{name}.cores"] = _short(need.busy_cores)
        stated[f"{name}.total"] = f"${need.total:,.0f}"
        stated |= {f"{name}.{part}": _dollars(getattr(need, part)) for part in ("serving", "log", "egress")}
        stated[f"{name}.log_kb"] = f"{requests[name].log_bytes / 1000:.1f}"
    stated["films.night_core_hours"] = f"{largest['recommender'].requests_a_day * cpu['recommender'] / 3.6e6:,.0f}"
    return stated | films_numbers(records["large"], loads, assumed) | pictures_numbers(records, loads, assumed)


def films_numbers(large: Mapping[str, Any], loads: Mapping[str, Any], assumed: Mapping[str, float]) -> dict[str, str]:
    """Return what histories and trainings of everybody would need, from a training on a million ratings."""
    ease = next(model for model in large["models"] if model["name"] == large["chosen"])
    people = loads["recommender"]["requests"] * SCALES[-1]
    ratings = people * assumed["ratings"]
    seconds = ease["fit_seconds"] * ratings / large["ratings"]
    return {
        "films.people": f"{people:,}",
        "films.ratings_each": f"{assumed['ratings']:.0f}",
        "films.large_ratings": f"{large['ratings']:,}",
        "films.large_films": f"{large['films']:,}",
        "films.large_seconds": f"{ease['fit_seconds']:.0f}",
        "films.large_gb": f"{ease['peak_rss_mb'] / 1000:.1f}",
        "films.history_gb": f"{ratings * 8 / 1e9:,.0f}",
        "films.fit_hours": f"{seconds / 3600:.0f}",
        "films.sample_minutes": f"{seconds / 100 / 60:.0f}",
    }


def pictures_numbers(
    records: Mapping[str, Any], loads: Mapping[str, Any], assumed: Mapping[str, float]
) -> dict[str, str]:
    """Return what uploads would take if they were kept, and from when on a GPU is cheaper than cores."""
    rows = records["serving"]["image-classifier"]["rows"]
    uploads = loads["image-classifier"]["requests"] * SCALES[-1] * assumed["photo_mb"]  # MB a day
    cores = assumed["gpu_hour"] / assumed["core_hour"]
    a_core = 1000 / rows["ours"]["16"]["cpu_ms"]
    return {
        "pictures.trained_on": f"{records['reports']['image-classifier']['data']['rows']['train']:,}",
        "pictures.uploads_tb": f"{uploads / 1e6:,.0f}",
        "pictures.kept": f"${uploads / 1e3 * assumed['kept_days'] * assumed['object_gb_month']:,.0f}",
        "pictures.a_core": f"{a_core:.0f}",
        "gpu.hour": f"${assumed['gpu_hour']:.2f}",
        "gpu.cores": f"{cores:.0f}",
        "gpu.break_even": f"{cores * a_core:,.0f}",
        "gpu.without_network_ms": f"{rows['decoding and the bare call']['ms'] - network_ms(records):.1f}",
        "gpu.network_ms": f"{network_ms(records):.1f}",
    }


def network_ms(records: Mapping[str, Any]) -> float:
    """Return how long the served network takes for a picture, without reading it."""
    return float(records["reports"]["image-classifier"]["quantisation"]["milliseconds_after"])


def contents() -> tuple[dict[str, str], dict[str, str]]:
    """Return the sections and the numbers of the document, from what the records hold now."""
    stated = tomllib.loads((ROOT / "benchmarks" / "system_design.toml").read_text(encoding="utf-8"))
    assumed = {name: float(entry["value"]) for name, entry in stated["assumed"].items()}
    loads = stated["loads"]
    serving = {name: read(RESULTS / f"{name}_serving.json") for name in TITLES}
    reports = {name: read(ROOT / "projects" / name / "docs" / "report.json") for name in TITLES}
    bytes_of = read(RESULTS / "log_rows.json")["rows"]
    requests = {
        name: Request(
            cpu_ms=measured["rows"]["ours"]["16"]["cpu_ms"],
            log_bytes=bytes_of[name]["log_bytes"],
            answer_bytes=bytes_of[name]["answer_bytes"],
        )
        for name, measured in serving.items()
    }
    records = {"serving": serving, "reports": reports, "large": read(RESULTS / "recommender_large.json")}
    sections = {
        "design-assumed": assumptions_table(stated["assumed"]),
        "design-measured": measured_table(serving, requests),
    }
    for name, each in requests.items():
        sections[f"design-{name}"] = needs_table(each, loads[name], assumed)
    sections["design-cost"] = costs_table(requests, loads, assumed, stated["team"]["people"])
    notes = " ".join(reports["recommender"]["data"]["report"]["notes"])
    films = int(re.findall(r"of (\d+) films have no rating", notes)[0])
    sections["design-catalog"] = catalog_table(
        serving["recommender"]["rows"], requests["recommender"], films, loads["recommender"], assumed
    )
    return sections, numbers(records, requests, assumed, loads)


def _short(value: float) -> str:
    """Write a size with two digits that count: 0.35, 6.2, 4,600."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _dollars(amount: float) -> str:
    return f"${amount:,.{0 if amount >= 10 else 2}f}"


def main() -> None:
    sections, stated = contents()
    documents = documents_of_all(ROOT / "README.md")
    changed = fill_documents(documents, sections, stated, of="design.")
    sys.stdout.write(f"Written: {', '.join(map(str, changed)) or 'nothing, it is up to date'}\n")


if __name__ == "__main__":
    main()
