import asyncio
import contextvars
import itertools
import threading
import time

import pytest
from demo_service import DemoSettings

from portfolio_shared.serving.app import pools_of
from portfolio_shared.serving.pool import WorkerPool
from portfolio_shared.serving.problems import ProblemError

name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def with_pool(use, *, threads=2, max_waiting=10, timeout_seconds=10.0):
    async def main():
        pool = WorkerPool(threads=threads, max_waiting=max_waiting, timeout_seconds=timeout_seconds)
        try:
            await use(pool)
        finally:
            await pool.close()

    asyncio.run(main())


def test_result_error_and_context_come_back():
    async def use(pool):
        assert await pool.run(divmod, 7, 2) == (3, 1)
        assert await pool.run({"a": 1}.get, "b") is None
        name.set("anna")
        assert await pool.run(name.get) == "anna"
        assert await pool.run(threading.get_ident) != threading.get_ident()
        with pytest.raises(KeyError, match="gone"):
            await pool.run({"here": 1}.__getitem__, "gone")

    with_pool(use)


def test_errors_that_asyncio_treats_specially_reach_the_caller():
    async def use(pool):
        def impatient():
            raise TimeoutError("from the model")

        # A TimeoutError of the model is not the timeout of the pool, and StopIteration does not hang the caller.
        with pytest.raises(TimeoutError, match="from the model"):
            await pool.run(impatient)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await pool.run(next, iter(()))

    with_pool(use)


def test_full_queue_is_429_and_empties_again():
    release = threading.Event()

    async def use(pool):
        tasks = [asyncio.create_task(pool.run(release.wait, 20.0)) for _ in range(3)]  # one runs, two wait
        await asyncio.sleep(0)
        with pytest.raises(ProblemError) as caught:
            await pool.run(int)
        assert caught.value.status_code == 429
        assert caught.value.headers == {"Retry-After": "1"}
        release.set()
        assert await asyncio.gather(*tasks) == [True, True, True]
        assert await pool.run(int) == 0

    with_pool(use, threads=1, max_waiting=2)


def test_timeout_is_503_and_keeps_the_slot_until_the_thread_is_free():
    release = threading.Event()
    started: list[str] = []

    async def use(pool):
        with pytest.raises(ProblemError) as caught:
            await pool.run(release.wait, 20.0)
        assert caught.value.status_code == 503
        assert "0.05 s" in str(caught.value.detail)
        # The thread still works: what waits for it times out, and is never started.
        with pytest.raises(ProblemError, match=r"0\.05 s"):
            await pool.run(started.append, "too late")
        release.set()
        assert await pool.run(int) == 0
        assert started == []

    with_pool(use, threads=1, timeout_seconds=0.05)


def test_caller_that_is_cancelled_gives_its_place_back():
    release = threading.Event()

    async def use(pool):
        first = asyncio.create_task(pool.run(release.wait, 20.0))
        second = asyncio.create_task(pool.run(int))
        await asyncio.sleep(0.01)
        for task in (first, second):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        release.set()
        assert await pool.run(int) == 0

    with_pool(use, threads=1, max_waiting=1)


def test_never_more_threads_than_asked_for() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    async def use(pool: WorkerPool) -> None:
        await asyncio.gather(*(pool.run(work) for _ in range(10)))

    with_pool(use, threads=2)
    assert most == 2


def test_close_waits_for_what_runs() -> None:
    done: list[bool] = []

    def work() -> None:
        time.sleep(0.05)
        done.append(True)

    async def use(pool: WorkerPool) -> None:
        task = asyncio.create_task(pool.run(work))
        await asyncio.sleep(0.01)
        task.cancel()

    with_pool(use)
    assert done == [True]


def test_what_is_quick_is_computed_on_the_event_loop_until_it_is_not(monkeypatch, caplog):
    monkeypatch.setattr("portfolio_shared.serving.pool.HERE_MEMORY", 2)
    monkeypatch.setattr("portfolio_shared.serving.pool.AWAY_SECONDS", 0.2)
    here = threading.get_ident()

    async def use(pool):
        assert await pool.run_here(threading.get_ident) == await pool.run_together(threads, "x") == here
        with pytest.raises(KeyError, match="gone"):
            await pool.run_here({}.__getitem__, "gone")
        await pool.run_here(sum, range(300_000))
        assert "ms: threads compute it for 0.2 s" in caplog.text
        assert here not in (await pool.run_here(threading.get_ident), await pool.run_together(threads, "x"))
        await asyncio.sleep(0.2)
        assert await pool.run_here(threading.get_ident) == here

    with_pool(use)


def threads(items):
    return [threading.get_ident() for _ in items]


def test_items_of_a_turn_are_computed_together_and_fail_alone(monkeypatch):
    monkeypatch.setattr("portfolio_shared.serving.pool.HERE_TOGETHER", 3)
    monkeypatch.setattr("portfolio_shared.serving.pool.HERE_GUESS", 0.0)
    calls = []

    turns = [0]

    async def count_turns():
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    def inverses(numbers):
        calls.append((numbers, turns[0]))
        return [1 / number for number in numbers]

    async def use(pool):
        halves = [pool.run_together(inverses, number) for number in (1, 2, 4, 5)]
        others = asyncio.create_task(count_turns())
        assert await asyncio.gather(*halves, pool.run_together(list, "x")) == [1, 0.5, 0.25, 0.2, "x"]
        others.cancel()
        assert [numbers for numbers, _ in calls] == [[1, 2, 4], [5]]
        assert calls[0][1] < calls[1][1]  # others had their turn between
        *good, bad = await asyncio.gather(
            *(pool.run_together(inverses, number) for number in (1, 2, 0)), return_exceptions=True
        )
        assert good == [1, 0.5]
        assert isinstance(bad, ZeroDivisionError)

    with_pool(use)


def test_so_many_items_are_computed_together_as_take_less_than_a_millisecond(monkeypatch):
    clock = itertools.count(0, 0.0004)
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))  # a call takes 0.4 ms
    monkeypatch.setattr("portfolio_shared.serving.pool.HERE_MEMORY", 1)
    calls = []

    def same(numbers):
        calls.append(numbers)
        return numbers

    async def use(pool):
        await pool.run_together(same, 0)
        assert await asyncio.gather(*(pool.run_together(same, number) for number in range(4))) == [0, 1, 2, 3]
        assert calls == [[0], [0, 1], [2, 3]]

    with_pool(use)


@pytest.mark.parametrize("slow", [False, True])
def test_what_is_slow_is_computed_one_at_a_time_until_that_is_known_and_then_in_threads(monkeypatch, caplog, slow):
    clock = itertools.count(0, 0.02)
    monkeypatch.setattr(time, "thread_time", lambda: next(clock) if slow else 0.0)  # a call takes 20 ms
    here, calls = threading.get_ident(), []

    def failing(items):
        calls.append((items, threading.get_ident()))
        raise KeyError(items[0])  # what it took counts all the same

    async def use(pool):
        outcomes = await asyncio.gather(*(pool.run_together(failing, i) for i in range(10)), return_exceptions=True)
        assert [outcome.args for outcome in outcomes] == [(i,) for i in range(10)]
        assert [len(items) for items, _ in calls] == [1] * 10
        assert sum(thread == here for _, thread in calls) == (3 if slow else 10)
        assert caplog.text.count("threads compute it") == slow
        pool._away_until = 0.0
        await asyncio.gather(*(pool.run_together(threads, i) for i in range(3)))
        assert pool._is_away() == slow  # one call was enough

    with_pool(use)


@pytest.mark.parametrize(
    ("predict", "error"),
    [
        (lambda items: items[1:], ValueError),
        (lambda items: [*items, 0], ValueError),
        (lambda _: next(iter(())), RuntimeError),
    ],
)
@pytest.mark.parametrize("together", [1, 3])
def test_a_model_that_answers_too_little_or_too_much_is_an_error_to_everybody(monkeypatch, predict, error, together):
    monkeypatch.setattr("portfolio_shared.serving.pool.HERE_GUESS", 0.0)

    async def use(pool):
        asked = [asyncio.wait_for(pool.run_together(predict, i), 0.1) for i in range(together)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [error] * together

    with_pool(use)


def test_with_a_span_for_each_computation_items_are_computed_alone_with_the_variables_of_their_callers():
    spans = []

    def around(fn):
        def compute(numbers):
            spans.append((numbers, name.get()))
            return fn(numbers)

        return compute

    async def main():
        pool = WorkerPool(threads=1, max_waiting=1, timeout_seconds=1.0, around=around)

        async def ask(who):
            name.set(who)
            return await pool.run_together(list, who)

        assert await asyncio.gather(ask("anna"), ask("bert")) == ["anna", "bert"]
        await pool.close()

    asyncio.run(main())
    assert spans == [(["anna"], "anna"), (["bert"], "bert")]


@pytest.mark.parametrize(("rollout", "on_the_loop"), [("off", True), ("canary", False)])
def test_while_a_challenger_answers_nothing_is_computed_on_the_event_loop(rollout, on_the_loop):
    async def main():
        for pool in pools_of(DemoSettings(rollout=rollout), None):
            for thread in (await pool.run_together(threads, "x"), await pool.run_here(threading.get_ident)):
                assert (thread == threading.get_ident()) == on_the_loop
            await pool.close()

    asyncio.run(main())
