"""Work in the background is waited for by who asked for it, and by nobody at the end."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from portfolio_shared.deadlines import in_background


def test_what_the_work_returns_or_raises_is_the_callers():
    def fail():
        raise KeyError("work")

    assert asyncio.run(in_background(lambda: threading.current_thread().daemon))
    with pytest.raises(KeyError, match="work"):
        asyncio.run(in_background(fail))


def test_work_that_ends_after_its_caller_has_gone_is_no_error():
    may_end, ended = threading.Event(), threading.Event()

    def work():
        may_end.wait(10)
        ended.set()

    async def give_up():
        task = asyncio.create_task(in_background(work))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(give_up())
    may_end.set()
    assert ended.wait(10)


def test_a_process_does_not_wait_for_work_that_hangs():
    program = (
        "import asyncio, time\n"
        "from portfolio_shared.deadlines import in_background\n"
        "async def main():\n"
        "    asyncio.create_task(in_background(lambda: time.sleep(60)))\n"
        "    await asyncio.sleep(0.05)\n"
        "asyncio.run(main())\n"
    )
    began = time.monotonic()
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=30)
    assert time.monotonic() - began < 20
