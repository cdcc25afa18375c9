"""Partners that drip, never end, speak of something else or say too much: they hold nothing up here."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.redemption import PartnerWord, RedemptionState
from pointsbank.platform import outbox
from pointsbank.platform.outbox import HANDLER_SECONDS_MAX, LEASE, PARALLEL_INTENTS
from pointsbank.platform.settings import Settings
from pointsbank.platform.signing import sign
from services.settlement import client as clients
from services.settlement import jobs, service
from services.settlement.client import (
    ANSWER_BYTES_MAX,
    CALL_SECONDS_MAX,
    KEPT_LENGTH_MAX,
    OrderAnswer,
    PartnerClient,
    PartnerRefused,
    Partners,
    PartnerUnavailable,
)
from services.settlement.events import verify_and_take_event
from services.worker import WorkerProcess
from tests.partners.support import SECRET
from tests.shops import LUNCH, PURSE, TODAY, Shop, open_shop

CALLS_OF_A_HANDLER_MAX = 3
DEAD_REDIS = "redis://127.0.0.1:9/0"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n"
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def shop(app_url: str, canteen_url_db: str) -> AsyncIterator[Shop]:
    async with open_shop(app_url, canteen_url_db) as shop:
        await shop.work()  # the introductions
        yield shop


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[PartnerClient]:
    """Run a partner that answers every request with what ``answer`` writes; yield a client of it."""
    taken: list[asyncio.Task[None]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        taken.append(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            yield PartnerClient(http, "canteen", f"http://127.0.0.1:{port}", SECRET)
    finally:
        server.close()
        for task in taken:
            task.cancel()
        await asyncio.gather(*taken, return_exceptions=True)


async def drip(writer: asyncio.StreamWriter) -> None:
    """Give a byte a second, which no time limit of a single read ever notices."""
    writer.write(HEAD)
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(1)


def saying(shop: Shop, status: int, body: Any, *, headers: dict[str, str] | None = None) -> PartnerClient:
    """A client of a canteen that always gives the same answer; a callable is given the order's id."""

    def answer(request: httpx.Request) -> httpx.Response:
        said = body(request.url.path.split("/")[2]) if callable(body) else body
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        return httpx.Response(status, content=content, headers=headers)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return PartnerClient(http, "canteen", "http://partner", SECRET, clock=shop.clock)


async def work_with(shop: Shop, client: PartnerClient) -> None:
    """Carry out what is due with ``client`` for the canteen."""
    await outbox.work_off(shop.database, 1, jobs.handlers(shop.database, Partners({"canteen": client})))


async def errors(shop: Shop) -> list[tuple[str, str | None]]:
    """Return topic and last error of what waits or was put aside."""
    async with shop.database.unit_of_work(1) as uow:
        connection = await uow.connection()
        rows = await connection.fetch(
            "SELECT topic, last_error FROM bank.outbox WHERE done_at IS NULL AND last_error IS NOT NULL"
        )
    return [tuple(row) for row in rows if row["topic"] != service.INTRODUCE]


def test_a_handler_ends_before_its_lease_and_has_time_for_its_calls() -> None:
    assert CALLS_OF_A_HANDLER_MAX * CALL_SECONDS_MAX < HANDLER_SECONDS_MAX < LEASE.total_seconds()


async def test_a_partner_that_drips_its_answer_is_left_when_the_calls_time_is_over() -> None:
    async with answering(drip) as client:
        began = time.monotonic()
        async with asyncio.timeout(CALL_SECONDS_MAX + 3):
            with pytest.raises(PartnerUnavailable, match="no answer in time"):
                await client.order(1, uuid4())
        assert time.monotonic() - began < CALL_SECONDS_MAX + 1


async def test_an_answer_without_end_is_read_up_to_the_cap() -> None:
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD)
        while sent < 64 * ANSWER_BYTES_MAX:
            writer.write(b" " * 65_536)
            sent += 65_536
            await writer.drain()

    async with answering(flood) as client:
        with pytest.raises(PartnerUnavailable, match="answer too long"):
            await client.order(1, uuid4())
    assert sent < 16 * ANSWER_BYTES_MAX  # what the sockets between had taken is counted too


async def test_a_packed_answer_is_not_unpacked(shop: Shop) -> None:
    packed = gzip.compress(b" " * 64 * ANSWER_BYTES_MAX)

    async def pack(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        writer.write(head.encode() + packed)
        await writer.drain()

    async with answering(pack) as client:
        with pytest.raises(PartnerUnavailable, match="answer too long"):
            await client.order(1, uuid4())


async def test_a_refusal_too_long_to_read_is_a_refusal(shop: Shop) -> None:
    client = saying(shop, 422, b'{"code": "sold_out", "detail": "' + b"x" * ANSWER_BYTES_MAX + b'"}')
    with pytest.raises(PartnerRefused) as refused:
        await client.order(1, uuid4())
    assert refused.value.code == "unknown"


async def test_a_statement_that_goes_on_and_on_is_left(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "STATEMENT_SECONDS_MAX", 0.5)

    async def one_more(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.05)
        after = int(request.url.params["after"] or 0) + 1
        totals = {"lines": 0, "milli_points": 0, "fen": 0}
        return httpx.Response(200, json={"lines": [], "next_after": f"{after:09d}", "totals": totals})

    http = httpx.AsyncClient(transport=httpx.MockTransport(one_more))
    client = PartnerClient(http, "canteen", "http://partner", SECRET, clock=shop.clock)
    async with asyncio.timeout(5):
        with pytest.raises(PartnerUnavailable, match="statement not in time"):
            await client.statement(1, TODAY)


async def test_an_amount_that_no_book_can_hold_is_not_taken(shop: Shop) -> None:
    line = {
        "redemption_id": str(uuid4()),
        "partner_reference": "1",
        "item": "lunch_set",
        "quantity": 1,
        "milli_points": LUNCH,
        "fen": 2**63,
    }
    totals = {"lines": 1, "milli_points": LUNCH, "fen": 2**63}
    client = saying(shop, 200, {"lines": [line], "next_after": None, "totals": totals})
    with pytest.raises(PartnerUnavailable, match="not as agreed"):
        await client.statement(1, TODAY)


async def test_brackets_without_end_are_no_fault_of_ours(shop: Shop) -> None:
    brackets = b'{"x":' + b"[" * 100_000
    with pytest.raises(PartnerUnavailable, match="not as agreed"):
        await saying(shop, 200, brackets).introduce(1, code="test", name="测试社区", timezone="Asia/Shanghai")
    with pytest.raises(PartnerRefused):
        await saying(shop, 422, brackets).order(1, uuid4())


async def test_an_answer_about_another_order_moves_neither(shop: Shop) -> None:
    other = await shop.accepted("dinner_set")
    lunch = await shop.redeem()
    client = saying(shop, 200, {"redemption_id": str(other.id), "status": "fulfilled"})
    await work_with(shop, client)
    assert (await shop.look(other.id)).state is RedemptionState.ACCEPTED
    assert (await shop.look(lunch.id)).state is RedemptionState.REQUESTED
    assert await errors(shop) == [
        (service.REQUEST, "PartnerUnavailable: canteen: answer about another order")
    ]
    shop.clock.move_to(shop.clock.now() + timedelta(minutes=1))
    await shop.work()
    assert (await shop.look(lunch.id)).state is RedemptionState.ACCEPTED


@pytest.mark.parametrize("ask", ["order", "cancel", "fulfil"])
async def test_no_call_takes_an_answer_about_another_order(shop: Shop, ask: str) -> None:
    client = saying(shop, 200, {"redemption_id": str(uuid4()), "status": "fulfilled"})
    with pytest.raises(PartnerUnavailable, match="answer about another order"):
        await getattr(client, ask)(1, uuid4())


async def test_asking_after_a_silent_order_takes_no_answer_about_another(shop: Shop) -> None:
    lunch, dinner = await shop.accepted(), await shop.accepted("dinner_set")

    def the_other(asked: str) -> dict[str, str]:
        other = dinner.id if UUID(asked) == lunch.id else lunch.id
        return {"redemption_id": str(other), "status": "fulfilled"}

    shop.clock.move_to(shop.clock.now() + 2 * jobs.SILENT_AFTER)
    partners = Partners({"canteen": saying(shop, 200, the_other)})
    assert await jobs.ask_after_silent(shop.database, partners, 1) == 2
    for redeemed in (lunch, dinner):
        assert (await shop.look(redeemed.id)).state is RedemptionState.ACCEPTED


@pytest.mark.parametrize(
    "reason", ["今天的菜卖完了" * 20, "sold out\x00", "\x00" * 200, ""], ids=["long", "nul", "nuls", "empty"]
)
async def test_a_refusal_gives_the_points_back_whatever_words_it_comes_with(shop: Shop, reason: str) -> None:
    lunch = await shop.redeem()

    def refusal(asked: str) -> dict[str, str]:
        return {"redemption_id": asked, "status": "refused", "reason": reason, "partner_reference": reason}

    await work_with(shop, saying(shop, 200, refusal))
    assert (await shop.look(lunch.id)).state is RedemptionState.REFUSED
    assert await shop.points() == (PURSE, 0)
    assert await errors(shop) == []


async def test_what_is_kept_of_a_partners_words_is_their_beginning_without_controls() -> None:
    answer = OrderAnswer(uuid4(), PartnerWord.REFUSED, reason=" 卖完\x00了\n" + "啦" * 90)
    assert answer.reason is not None
    assert answer.reason.startswith("卖完 了 啦啦")
    assert len(answer.reason) == KEPT_LENGTH_MAX


async def test_a_problem_with_a_strange_code_gives_the_points_back(shop: Shop) -> None:
    lunch = await shop.redeem()
    await work_with(shop, saying(shop, 422, {"code": "sold\x00out"}))
    assert (await shop.look(lunch.id)).reason == "unknown"
    assert await shop.points() == (PURSE, 0)


async def test_an_event_from_before_any_calendar_is_refused_by_its_field(shop: Shop) -> None:
    body = json.dumps(
        {
            "event_id": str(uuid4()),
            "community_id": 1,
            "partner": "canteen",
            "redemption_id": str(uuid4()),
            "type": "fulfilled",
            "occurred_at": "0001-01-01T00:00:00+14:00",
            "fulfilled_quantity": 1,
        }
    ).encode()
    headers = sign(SECRET, "canteen", "POST", "/partner-events", body, at=shop.clock.now())
    with pytest.raises(InvalidValue) as refused:
        await verify_and_take_event(
            shop.database,
            headers,
            method="POST",
            path="/partner-events",
            body=body,
            secrets={"canteen": SECRET},
            clock=shop.clock,
        )
    assert refused.value.field == "occurred_at"


async def test_a_partner_that_drips_keeps_no_capture_waiting(shop: Shop, tmp_path: Path) -> None:
    lunch = await shop.accepted()
    async with shop.database.unit_of_work(1) as uow:
        canteen = await service.partner(uow, "canteen")
        for _ in range(PARALLEL_INTENTS):
            await outbox.add(uow, service.INTRODUCE, canteen.id)
    await shop.tell(lunch, "fulfilled")
    settings = Settings(data=tmp_path, sweep_seconds=1, pairing_seconds=0)
    async with answering(drip) as client:
        worker = WorkerProcess(settings, shop.database, Partners({"canteen": client}), DEAD_REDIS)
        running = asyncio.create_task(worker.run())
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX - 1):
                while (await shop.look(lunch.id)).state is not RedemptionState.FULFILLED:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            worker.stop()
            await running
    assert await shop.earned() == LUNCH
