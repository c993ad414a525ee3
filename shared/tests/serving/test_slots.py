"""How the two lanes share the slots of a worker pool."""

import asyncio

import pytest

from portfolio_shared.serving.pool import HEAVY, LIGHT, Slots


@pytest.mark.parametrize(
    ("slots", "seconds", "expected"),
    [
        (1, (1.0, 1.0), "hllhlhll"),
        (1, (1.0, 3.0), "hllllhlh"),  # a batch takes as long as three of the others
        (2, (1.0, 9.0), "hhlhllll"),  # a slot for each,
    ],
)
def test_two_lanes_that_both_wait_hold_the_slots_for_the_same_time(
    slots: int, seconds: tuple[float, float], expected: str
) -> None:
    order = ""

    async def hold(shared: Slots, lane: int) -> None:
        nonlocal order
        await shared.acquire(lane)
        order += "lh"[lane]
        await asyncio.sleep(0)
        shared.release(lane, seconds[lane])

    async def run() -> None:
        shared = Slots(slots)
        await asyncio.gather(*(hold(shared, lane) for lane in [HEAVY] * 3 + [LIGHT] * 5))
        assert len(shared) == 0

    asyncio.run(run())
    assert order == expected


def test_a_slot_that_is_given_to_a_caller_who_is_gone_goes_to_the_next() -> None:
    async def run() -> None:
        shared = Slots(1)
        await shared.acquire(LIGHT)
        gone, next_one = (asyncio.create_task(shared.acquire(lane)) for lane in (HEAVY, LIGHT))
        await asyncio.sleep(0)
        shared.release(LIGHT, 1.0)  # to the first
        gone.cancel()
        await asyncio.wait_for(next_one, 1)
        late = asyncio.create_task(shared.acquire(LIGHT))
        await asyncio.sleep(0)
        late.cancel()
        await asyncio.sleep(0)
        assert len(shared) == 0
        shared.release(LIGHT, 1.0)
        await asyncio.wait_for(shared.acquire(HEAVY), 1)

    asyncio.run(run())
