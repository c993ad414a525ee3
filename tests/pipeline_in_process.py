"""Runs what test_pipeline.py asks for in Dagster's own environment, in one process and without a server.

Reads `{"folder": of the instance, "codes": file, "cases": [...], "ticks": [...]}` on standard input, and writes what
happened as JSON into the file that the first argument names.
"""

import json
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import page
from dagster import AssetKey, DagsterInstance, build_schedule_context
from definitions import defs as load

defs = load()


def case(instance: DagsterInstance, select: list[list[str]], tags: dict[str, str]) -> dict[str, Any]:
    """Run a part of the job; return what became of each asset and check."""
    result = defs.resolve_job_def("steps").execute_in_process(
        instance=instance, asset_selection=[AssetKey(key) for key in select], tags=tags, raise_on_error=False
    )
    kinds = Counter(event.event_type_value for event in result.all_events)
    made = [
        event.step_materialization_data.materialization
        for event in result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
    ]
    failures = [event.step_failure_data for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    return {
        "success": result.success,
        "made": {
            "/".join(each.asset_key.path): {name: value.value for name, value in each.metadata.items()} for each in made
        },
        "versions": {each.asset_key.path[-1]: (each.tags or {}).get("dagster/data_version") for each in made},
        "checks": {
            f"{check.asset_key.path[-1]} {check.check_name}": [check.passed, check.description]
            for check in result.get_asset_check_evaluations()
        },
        "retries": kinds["STEP_RESTARTED"],
        "handed over": kinds["HANDLED_OUTPUT"],
        "failures": [str(each.error_display_string) for each in failures],
    }


def tick(instance: DagsterInstance, moment: str) -> list[list[Any]]:
    """Return what the schedule asks for at a moment: of each run its key, assets and reason."""
    context = build_schedule_context(instance=instance, scheduled_execution_time=datetime.fromisoformat(moment))
    requests = defs.resolve_schedule_def("every_project").evaluate_tick(context).run_requests or []
    return [
        [each.run_key, ["/".join(key.path) for key in each.asset_selection or []], each.tags["why"]]
        for each in requests
    ]


def scope(headers: dict[str, str], method: str = "GET", path: str = "/") -> dict[str, Any]:
    """Return a request as ASGI has it."""
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": raw}


def main(output: Path) -> None:
    """Run all that was asked for."""
    asked = json.load(sys.stdin)
    with DagsterInstance.local_temp(asked["folder"]) as instance:
        cases = {}
        for name, given in asked["cases"].items():
            Path(asked["codes"]).write_text(json.dumps(given.pop("codes", {})), encoding="utf-8")
            cases[name] = case(instance, **given)
        schedule = defs.resolve_schedule_def("every_project")
        told = {
            "cases": cases,
            "ticks": [tick(instance, each) for each in asked["ticks"]],
            "cron": schedule.cron_schedule,
            "starts": schedule.default_status.value,
            "schedules": len(list(defs.schedules or [])),
            "pass": [page.may_pass(scope(*each)) for each in asked["requests"]],
            "assets": sorted(key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()),
            "modules": sorted({name.partition(".")[0] for name in sys.modules}),
        }
    output.write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
