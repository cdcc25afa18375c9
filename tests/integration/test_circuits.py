"""A partner that does not answer is left alone by every worker, and asked by one of them when it is time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from pointsbank.domain.circuit import FAILURES_MAX, PAUSE_MIN, CircuitState
from pointsbank.domain.redemption import RedemptionState
from services.settlement import circuits as service
from services.settlement import service as redemptions
from services.settlement.circuits import CircuitOpen, Circuits
from services.settlement.client import PartnerRefused, Partners, PartnerUnavailable
from services.settlement.views import CircuitInfo
from tests.shops import NOON, Shop, open_shop


@pytest.fixture
async def shop(app_url: str, canteen_url_db: str) -> AsyncIterator[Shop]:
    async with open_shop(app_url, canteen_url_db) as shop:
        await shop.work()  # the introductions
        yield shop


class Line:
    """The line to a canteen that answers with ``status``, counted."""

    def __init__(self, shop: Shop, status: int = 503) -> None:
        self.status, self.calls = status, 0
        self.client = shop.answering("canteen", self.answer)

    async def answer(self, _request: httpx.Request) -> httpx.Response:
        self.calls += 1
        return httpx.Response(self.status, json={"code": "closed_today"})


async def canteen_circuit(shop: Shop) -> CircuitInfo:
    async with shop.database.unit_of_work(1) as uow:
        (canteen, _station) = await service.circuits(uow)
    return canteen


async def ask(shop: Shop, circuits: Circuits) -> object:
    async with shop.database.unit_of_work(1) as uow:
        canteen = await redemptions.partner(uow, "canteen")
    return await circuits.ask(1, canteen.id, "canteen", lambda client: client.items(1))


async def fail_until_open(shop: Shop, circuits: Circuits) -> None:
    for _ in range(FAILURES_MAX):
        with pytest.raises(PartnerUnavailable):
            await ask(shop, circuits)


async def test_failures_in_a_row_open_the_circuit_for_every_worker_and_all_can_see_it(shop: Shop) -> None:
    line = Line(shop)
    await fail_until_open(shop, Circuits(shop.database, Partners({"canteen": line.client})))
    called = line.calls
    with pytest.raises(CircuitOpen) as refused:
        await ask(shop, Circuits(shop.database, Partners({"canteen": line.client})))
    assert line.calls == called, "the other worker did not call"
    assert refused.value.not_before == NOON + PAUSE_MIN
    seen = await canteen_circuit(shop)
    assert (seen.state, seen.failures) == (CircuitState.OPEN, FAILURES_MAX)
    assert seen.last_error == "PartnerUnavailable: canteen: status 503"


async def test_after_the_pause_one_worker_tries_while_the_other_waits(shop: Shop) -> None:
    line = Line(shop)
    first = Circuits(shop.database, Partners({"canteen": line.client}))
    await fail_until_open(shop, first)
    shop.clock.move_to(NOON + PAUSE_MIN)

    async def other_meanwhile(request: httpx.Request) -> httpx.Response:
        with pytest.raises(CircuitOpen):
            await ask(shop, Circuits(shop.database, shop.partners))
        return httpx.Response(200, json=[])

    trying = Circuits(shop.database, Partners({"canteen": shop.answering("canteen", other_meanwhile)}))
    assert await ask(shop, trying) == []
    assert (await canteen_circuit(shop)).state is CircuitState.CLOSED


async def test_a_trial_that_fails_opens_the_circuit_for_longer(shop: Shop) -> None:
    line = Line(shop)
    circuits = Circuits(shop.database, Partners({"canteen": line.client}))
    await fail_until_open(shop, circuits)
    shop.clock.move_to(NOON + PAUSE_MIN)
    with pytest.raises(PartnerUnavailable):
        await ask(shop, circuits)
    seen = await canteen_circuit(shop)
    assert (seen.state, seen.next_call_at) == (CircuitState.OPEN, NOON + 3 * PAUSE_MIN)


async def test_a_refusal_is_an_answer(shop: Shop) -> None:
    line = Line(shop, status=422)
    circuits = Circuits(shop.database, Partners({"canteen": line.client}))
    for _ in range(2 * FAILURES_MAX):
        with pytest.raises(PartnerRefused):
            await ask(shop, circuits)
    assert (await canteen_circuit(shop)).state is CircuitState.CLOSED


async def test_an_order_waits_out_the_pause_and_is_then_accepted(shop: Shop) -> None:
    line = Line(shop)
    await fail_until_open(shop, Circuits(shop.database, Partners({"canteen": line.client})))
    lunch = await shop.redeem()
    await shop.work()
    assert (await shop.look(lunch.id)).state is RedemptionState.REQUESTED
    shop.clock.move_to(NOON + PAUSE_MIN + timedelta(seconds=2))
    await shop.work()
    assert (await shop.look(lunch.id)).state is RedemptionState.ACCEPTED
