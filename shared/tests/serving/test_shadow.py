"""The service's half of a shadow: what is handed to a process, what is dropped and counted, and how it ends."""

import json
import logging
import sys
import time

import pytest
from demo_service import DemoSettings, eventually

from portfolio_shared.serving import shadow as shadow_module
from portfolio_shared.serving.shadow import LENGTHS, Shadow

READ = """
import json, os, signal, struct, sys, time
def frame():
    sizes = sys.stdin.buffer.read(8)
    if not sizes:
        sys.exit(0)
    head, body = struct.unpack(">II", sizes)
    return json.loads(sys.stdin.buffer.read(head)), sys.stdin.buffer.read(body)
def say(counts, challenger="8", error=None):
    print(json.dumps({"counts": counts, "challenger": challenger, "error": error}), flush=True)
told, _ = frame()
"""
ECHO = f"{READ}\nwhile True:\n    head, body = frame()\n    say({{'answered': 1}}, error=json.dumps([head, len(body)]))"
DEAF = f"{READ}\nsay({{}})\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)\ntime.sleep(60)"


@pytest.fixture
def shadowing(monkeypatch):
    """Return a function: script in the place of the challenger's process -> a shadow with it, which is closed later."""
    shadows = []

    def start(script, **changes):
        monkeypatch.setattr(shadow_module, "COMMAND", (sys.executable, "-I", "-S", "-c", script))
        for name, value in {"TICK_SECONDS": 0.01, "END_SECONDS": 0.3, "FIRST_PAUSE": 0.02, **changes}.items():
            monkeypatch.setattr(shadow_module, name, value)
        shadow = Shadow(DemoSettings(rollout="shadow", prediction_log="sqlite:///log.db", subject_key="hidden-1"))
        shadow.start("demo:create_app")
        shadows.append(shadow)
        return shadow

    yield start
    for shadow in shadows:
        shadow.close()


def mirror(shadow, body=b"{}", id_="1", content_type=b"text/x"):
    kept = shadow.new_body()
    for start in range(0, len(body), 65_536):  # as it arrives
        kept.append(body[start : start + 65_536])
    headers = [(b"content-type", content_type), (b"content-encoding", b"gzip"), (b"x-subject", b"ann")]
    scope = {"state": {"answer_id": id_}, "query_string": b"explain=1", "headers": headers}
    shadow.add(kept, scope, path="/v1/prices", version="7")
    kept.drop()


def test_the_process_gets_factory_settings_and_environment_without_secrets_that_it_has_no_use_for(
    shadowing, monkeypatch
):
    for name in ("DEMO_SUBJECT_KEY", "demo_trace_headers", "DEMO_API_KEYS", "demo_api_key_file"):  # either case is read
        monkeypatch.setenv(name, '{"key": "hidden-1"}')
    monkeypatch.setenv("DEMO_LOG_LEVEL", "error")
    shadow = shadowing(f"{READ}\nsay({{}}, error=json.dumps(told | dict(os.environ)))\nframe()")
    eventually(lambda: shadow.state().challenger)
    told = json.loads(shadow.state().error)
    assert told["factory"] == "demo:create_app"
    assert told["settings"]["prediction_log"] == "sqlite:///log.db"
    assert "hidden-1" not in shadow.state().error
    assert "subject_key" not in told["settings"]
    assert told["DEMO_LOG_LEVEL"] == "error"


@pytest.mark.parametrize("size", [2, 3_000_000], ids=["small", "larger than the pipe"])
def test_a_request_is_handed_on_as_it_came_but_for_who_asked(shadowing, size):
    shadow = shadowing(ECHO)
    mirror(shadow, b"x" * size)
    eventually(lambda: shadow.state().counts["answered"])
    head, n_bytes = json.loads(shadow.state().error)
    assert n_bytes == size
    assert head == {
        "id": "1",
        "champion": "7",
        "path": "/v1/prices",
        "query": "explain=1",
        "headers": [["content-type", "text/x"], ["content-encoding", "gzip"]],
    }


def test_all_are_counted_and_metrics_say_so(shadowing):
    shadow = shadowing(ECHO)
    for number in range(300):
        mirror(shadow, id_=str(number))
    eventually(lambda: shadow.state().counts["answered"] == 300)
    samples = {(s.name, *s.labels.values()): s.value for metric in shadow.collect() for s in metric.samples}
    assert samples["shadow_requests_total", "answered"] == 300
    assert samples["shadow_requests_total", "dropped"] == samples["shadow_process_deaths_total",] == 0
    assert shadow.state().challenger == "8"


@pytest.mark.parametrize(("body", "room"), [(b"x", {"CAPACITY": 5}), (b"x" * 200_000, {"CAPACITY_BYTES": 1_000_000})])
def test_a_process_that_is_behind_makes_nobody_wait_and_the_rest_is_dropped(shadowing, body, room):
    shadow = shadowing(DEAF, PIPE_BYTES=65_536, **room)
    eventually(lambda: shadow.state().challenger)
    started = time.perf_counter()
    for _ in range(5_000):
        mirror(shadow, body)
    assert time.perf_counter() - started < 20  # it reads nothing, so whoever waits would wait for ever
    assert shadow.state().counts["dropped"] > 0
    assert len(shadow._waiting) <= 5


def test_headers_take_room_as_well(shadowing):
    shadow = shadowing(DEAF, CAPACITY_BYTES=1000)
    mirror(shadow, content_type=b"x" * 1000)
    assert shadow.state().counts["dropped"] == 1


def test_room_that_is_taken_while_bodies_arrive_is_given_back(shadowing):
    shadow = shadowing(ECHO, CAPACITY_BYTES=1100)
    refused = shadow.new_body()
    refused.append(b"x" * 900)
    mirror(shadow, b"x" * 200)
    assert shadow.state().counts["dropped"] == 1
    refused.drop()  # the champion has answered 422
    for done in range(1, 4):
        mirror(shadow, b"x" * 900)
        eventually(lambda done=done: shadow.state().counts["answered"] == done)
    assert shadow.state().counts["dropped"] == 1


@pytest.mark.parametrize(
    ("script", "ending"),
    [
        (f"{READ}\nsay({{}})\nframe()\nos.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        (f"{READ}\nsay({{}})\nframe()\nsys.exit(3)", "code 3"),
    ],
)
def test_a_process_that_dies_is_counted_with_what_it_had_and_started_again_and_logged_once(
    shadowing, caplog, script, ending
):
    shadow = shadowing(script)
    eventually(lambda: shadow.state().challenger)
    for deaths in range(1, 4):
        mirror(shadow)
        eventually(lambda deaths=deaths: shadow.state().deaths == deaths)
        eventually(lambda: shadow.state().challenger)
    assert shadow.state().counts["lost"] == 3
    errors = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == [f"the challenger's process has ended ({ending}) and is started again after a pause"]


@pytest.mark.long
def test_pauses_grow_between_processes_that_die_at_once(shadowing):
    shadow = shadowing("raise SystemExit(1)", FIRST_PAUSE=0.2)
    time.sleep(1.5)
    assert 1 < shadow.state().deaths < 5
    assert "has ended (code 1)" in shadow.state().error


@pytest.mark.parametrize("said", ["nonsense", '{"counts": {"unheard": 1}}'])
def test_a_process_that_says_what_it_should_not_is_replaced(shadowing, caplog, said):
    shadow = shadowing(f"{READ}\nprint('{said}', flush=True)\ntime.sleep(60)")
    eventually(lambda: shadow.state().deaths)
    mirror(shadow)
    assert "is given up for now" in caplog.text


def test_a_python_that_does_not_start_is_a_death(shadowing, monkeypatch, caplog):
    shadow = shadowing("")
    monkeypatch.setattr(shadow_module, "COMMAND", ("/nowhere/python",))
    eventually(lambda: "it does not start" in (shadow.state().error or ""))


@pytest.mark.parametrize("script", [ECHO, DEAF], ids=["ends", "has to be killed"])
def test_closing_leaves_no_process(shadowing, script):
    shadow = shadowing(script)
    mirror(shadow)
    eventually(lambda: shadow.state().challenger)
    process = shadow._process
    shadow.close()
    assert process.poll() is not None
    assert not shadow._thread.is_alive()


def test_a_frame_is_two_lengths_a_head_and_a_body():
    packed = shadow_module.packed({"a": "ü"}, b"xyz")
    head, body = LENGTHS.unpack(packed[:8])
    assert json.loads(packed[8 : 8 + head]) == {"a": "ü"}
    assert (packed[8 + head :], body) == (b"xyz", 3)
