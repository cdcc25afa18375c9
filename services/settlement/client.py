"""How the platform speaks to a partner: signed JSON over HTTP, every call safe to repeat.

A partner is another house. How long it is listened to is bounded, and how much; what it says about another
order than it was asked about is not taken; its words are cut to what is kept.

Never call this inside a database transaction: a partner may take seconds to answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import httpx
import msgspec
import stamina
from msgspec import Meta
from msgspec.structs import force_setattr

from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.redemption import PartnerWord
from pointsbank.domain.subsidy.payers import Share
from pointsbank.platform.clock import Clock, SystemClock
from pointsbank.platform.outbox import TryLater
from pointsbank.platform.settings import Settings
from pointsbank.platform.signing import sign
from services.settlement.meals.views import MealOrderInfo
from services.settlement.views import PastRedemption, RedemptionInfo

PLATFORM_KEY = "platform"
CONNECT_SECONDS_MAX = 2.0
CALL_SECONDS_MAX = 5.0
"""A whole call, both its tries; no handler makes more than three, see ``outbox.HANDLER_SECONDS_MAX``."""
MENU_SECONDS_MAX = 2.0
"""A call that a person at a page waits for."""
BULK_SECONDS_MAX = 30.0
"""A call that hands over or fetches up to a thousand lines; no intent waits for one."""
STATEMENT_SECONDS_MAX = 120.0
TRIES = 2
ANSWER_BYTES_MAX = 1 << 20
"""Of one answer: a statement's page of ``PAGE_LINES`` lines has a quarter of it."""
KEPT_LENGTH_MAX = 60
"""Characters kept of a partner's reason and reference: as many as a redemption has room for."""
PAGE_LINES = 1_000
BULK_MAX = 1_000
STATEMENT_LINES_MAX = 100_000
"""Lines of one day's statement that are taken: a few hundred a day is the life of one canteen."""

NOT_DECIDED = frozenset({401, 403, 408, 425, 429})
"""Refusals that say nothing of the order itself, so that it is asked again."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading JSON raises that is not as agreed; the last is for brackets without end."""

CODE = re.compile(r"[a-z0-9_.-]{1,60}")

Shape = TypeVar("Shape")


class PartnerUnavailable(TryLater):
    """The partner could not be asked, or did not answer as agreed; to be tried again."""

    def __init__(self, partner: str, why: str) -> None:
        self.partner = partner
        super().__init__(f"{partner}: {why}")


class PartnerRefused(Exception):
    """The partner has decided against a call. code: its problem's stable code."""

    def __init__(self, partner: str, status: int, code: str) -> None:
        self.partner, self.status, self.code = partner, status, code
        super().__init__(f"{partner}: {status} {code}")


class _Interrupted(Exception):
    """No answer, or a server's fault: worth one more try at once."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """An answer as far as it was listened to. whole: nothing was left unread."""

    status: int
    content: bytes
    whole: bool


Amount = Annotated[int, Meta(ge=-(2**53), le=2**53)]
"""Milli-points or fen in a partner's books; what is beyond is no amount, and no column could hold it."""


class OrderAnswer(msgspec.Struct, frozen=True):
    """Where an order stands at the partner. reason, partner_reference: cut to ``KEPT_LENGTH_MAX``.

    fulfilled_quantity: how many were handed over, where the partner says so.
    """

    redemption_id: UUID
    status: PartnerWord
    partner_reference: str | None = None
    reason: str | None = None
    fulfilled_at: datetime | None = None
    fulfilled_quantity: Annotated[int, Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        """Keep of the partner's words what there is room for: they must not stop what the answer decides."""
        force_setattr(self, "partner_reference", _kept(self.partner_reference))
        force_setattr(self, "reason", _kept(self.reason))


class PartnerItem(msgspec.Struct, frozen=True):
    """What the partner sells; ``milli_points`` and ``fen`` for one."""

    code: str
    name: str
    milli_points: int
    fen: int
    available: bool


class StatementLine(msgspec.Struct, frozen=True):
    """One handed-over order in the partner's books."""

    redemption_id: UUID
    partner_reference: str
    item: str
    quantity: int
    milli_points: Amount
    fen: Amount


class MenuDish(msgspec.Struct, frozen=True):
    """A dish on a day's menu. left: how many can still be ordered."""

    date: date
    meal: str
    point: str
    point_name: str
    dish: str
    name: str
    item: str
    tags: tuple[str, ...]
    allergens: tuple[str, ...]
    left: int


class MealStop(msgspec.Struct, frozen=True):
    """One order of a run, in walking order. carried: it was not cancelled."""

    redemption_id: UUID
    building: str
    quantity: int
    carried: bool


class MealRun(msgspec.Struct, frozen=True):
    """A delivery run: what one volunteer carries within ``minutes`` from ``starts_at``."""

    run_id: UUID
    number: int
    portions: int
    starts_at: datetime
    minutes: int
    stops: list[MealStop]


class MealRuns(msgspec.Struct, frozen=True):
    """A meal's runs. planned: false while orders are still taken."""

    planned: bool
    runs: list[MealRun]


class ComplaintAnswer(msgspec.Struct, frozen=True):
    """What the canteen says of a complaint: until when it answers, and its answer."""

    answer_by: date
    answer: str | None = None
    upheld: bool | None = None


def meal_of(meal: MealOrderInfo | None) -> dict[str, Any]:
    """Return what an order says of a meal: nothing when nothing was wanted, as it always was."""
    if meal is None:
        return {}
    place = {
        "big_grid": meal.big_grid,
        "small_grid": meal.small_grid,
        "building": meal.building,
        "walk": meal.walk,
    }
    details = {"dish": meal.dish, "point": meal.point, "diet": meal.diet}
    told = {name: value for name, value in details.items() if value is not None}
    return {"mode": meal.mode, "details": {**told, "place": place} if meal.building else told}


class _Totals(msgspec.Struct, frozen=True):
    lines: int
    milli_points: int
    fen: int


class _StatementPage(msgspec.Struct, frozen=True):
    lines: list[StatementLine]
    next_after: str | None
    totals: _Totals


class PartnerClient:
    """Speaks to one partner. clock: the wire's, whatever day the platform believes it is."""

    def __init__(
        self, http: httpx.AsyncClient, partner: str, url: str, secret: str, *, clock: Clock | None = None
    ) -> None:
        self.partner = partner
        self._http = http
        self._url = httpx.URL(f"{url.rstrip('/')}/")
        self._secret = secret
        self._clock = clock or SystemClock()

    async def introduce(self, community_id: int, *, code: str, name: str, timezone: str) -> None:
        """Have the partner serve a community. Raises PartnerUnavailable, PartnerRefused."""
        await self._call(
            "PUT",
            f"communities/{community_id}",
            dict[str, Any],
            {"code": code, "name": name, "timezone": timezone},
        )

    async def items(self, community_id: int) -> list[PartnerItem]:
        """Return what the partner sells today. Raises PartnerUnavailable, PartnerRefused."""
        return await self._call("GET", "items", list[PartnerItem], query={"community_id": community_id})

    async def place(self, community_id: int, redemption: RedemptionInfo) -> OrderAnswer:
        """Order what was redeemed; asked again, the same answer.

        Raises PartnerUnavailable, PartnerRefused.
        """
        body: dict[str, Any] = {
            "community_id": community_id,
            "item": redemption.item,
            "quantity": redemption.quantity,
            "business_date": redemption.business_date,
            "milli_points": redemption.milli_points,
            "fen": redemption.fen,
            "voucher": redemption.voucher,
            **meal_of(redemption.meal),
        }
        if redemption.shares:
            body["shares"] = _shares(redemption.shares)
        answer = await self._call("PUT", f"redemptions/{redemption.id}", OrderAnswer, body)
        return self._about(redemption.id, answer)

    async def order(self, community_id: int, redemption_id: UUID) -> OrderAnswer:
        """Return where an order stands. Raises PartnerUnavailable, PartnerRefused."""
        answer = await self._call(
            "GET", f"redemptions/{redemption_id}", OrderAnswer, query={"community_id": community_id}
        )
        return self._about(redemption_id, answer)

    async def cancel(self, community_id: int, redemption_id: UUID) -> OrderAnswer:
        """Call an order off.

        Raises PartnerUnavailable, PartnerRefused (``already_fulfilled``, ``not_found``).
        """
        body = {"community_id": community_id}
        answer = await self._call("POST", f"redemptions/{redemption_id}/cancel", OrderAnswer, body)
        return self._about(redemption_id, answer)

    async def fulfil(self, community_id: int, redemption_id: UUID) -> OrderAnswer:
        """Tell the partner's program that an order was handed over, as its counter would."""
        body = {"community_id": community_id}
        answer = await self._call("POST", f"redemptions/{redemption_id}/fulfil", OrderAnswer, body)
        return self._about(redemption_id, answer)

    async def menus(self, community_id: int, first: date, last: date) -> list[MenuDish]:
        """Return what is served on days ``first`` to ``last``, both included, and what is left of it.

        Somebody waits for the answer: it is given up soon. Raises PartnerUnavailable, PartnerRefused.
        """
        query = {"community_id": community_id, "from": first, "to": last}
        return await self._call("GET", "menus", list[MenuDish], query=query, seconds=MENU_SECONDS_MAX)

    async def runs(self, community_id: int, day: date, meal: str) -> MealRuns:
        """Return a meal's delivery runs. Raises PartnerUnavailable, PartnerRefused."""
        query = {"community_id": community_id, "meal": meal}
        return await self._call("GET", f"runs/{day}", MealRuns, query=query)

    async def rate(self, community_id: int, redemption_id: UUID, score: int) -> None:
        """Tell how a meal was liked, 1 to 3. Raises PartnerUnavailable, PartnerRefused."""
        body = {"community_id": community_id, "score": score}
        await self._call("PUT", f"redemptions/{redemption_id}/rating", dict[str, Any], body)

    async def complain(self, community_id: int, redemption_id: UUID, words: str) -> ComplaintAnswer:
        """File a complaint about a meal, once. Raises PartnerUnavailable, PartnerRefused."""
        body = {"community_id": community_id, "words": words}
        return await self._call("PUT", f"redemptions/{redemption_id}/complaint", ComplaintAnswer, body)

    async def complaint(self, community_id: int, redemption_id: UUID) -> ComplaintAnswer:
        """Return what the canteen says of a complaint. Raises PartnerUnavailable, PartnerRefused."""
        query = {"community_id": community_id}
        return await self._call("GET", f"redemptions/{redemption_id}/complaint", ComplaintAnswer, query=query)

    async def take_in(self, community_id: int, past: Sequence[PastRedemption]) -> None:
        """Hand the partner redemptions that were served in the past; again changes nothing."""
        for start in range(0, len(past), BULK_MAX):
            lines = [
                {
                    "redemption_id": each.id,
                    "item": each.item,
                    "quantity": each.quantity,
                    "business_date": each.business_date,
                    "milli_points": each.milli_points,
                    "fen": each.fen,
                    "voucher": each.voucher,
                    "fulfilled_at": each.fulfilled_at,
                    "status": PartnerWord.FULFILLED,
                    **({"shares": _shares(each.shares)} if each.shares else {}),
                }
                for each in past[start : start + BULK_MAX]
            ]
            body = {"community_id": community_id, "redemptions": lines}
            await self._call("POST", "redemptions/bulk", dict[str, Any], body, seconds=BULK_SECONDS_MAX)

    async def statement(self, community_id: int, day: date) -> list[StatementLine]:
        """Return the partner's whole statement of a business day, in order of its references.

        Raises PartnerUnavailable when it cannot be had within ``STATEMENT_SECONDS_MAX``, changed while it
        was read, or is too long.
        """
        try:
            async with asyncio.timeout(STATEMENT_SECONDS_MAX):
                return await self._statement(community_id, day)
        except TimeoutError:
            raise PartnerUnavailable(self.partner, "statement not in time") from None

    async def _statement(self, community_id: int, day: date) -> list[StatementLine]:
        lines: list[StatementLine] = []
        after = ""
        while True:
            query: dict[str, Any] = {"community_id": community_id, "after": after, "limit": PAGE_LINES}
            page = await self._call(
                "GET", f"statements/{day}", _StatementPage, query=query, seconds=BULK_SECONDS_MAX
            )
            lines += page.lines
            if len(lines) > STATEMENT_LINES_MAX:
                raise PartnerUnavailable(self.partner, "statement too long")
            if page.next_after is None:
                break
            if page.next_after <= after:
                raise PartnerUnavailable(self.partner, "statement goes in circles")
            after = page.next_after
        sums = _Totals(len(lines), sum(line.milli_points for line in lines), sum(line.fen for line in lines))
        if sums != page.totals:
            raise PartnerUnavailable(self.partner, "statement does not sum to its totals")
        return lines

    def _about(self, redemption_id: UUID, answer: OrderAnswer) -> OrderAnswer:
        if answer.redemption_id != redemption_id:
            raise PartnerUnavailable(self.partner, "answer about another order")
        return answer

    async def _call(
        self,
        method: str,
        path: str,
        shape: type[Shape],
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        seconds: float = CALL_SECONDS_MAX,
    ) -> Shape:
        """Ask, once more if need be, and read the answer; ``seconds`` bounds all of it."""
        url = self._url.join(path)
        if query:
            url = url.copy_merge_params(query)
        content = b"" if body is None else msgspec.json.encode(body)
        try:
            # httpx bounds each read only: a partner that drips could hold a call for days.
            async with asyncio.timeout(seconds):
                heard = await self._insist(method, url, content, seconds=seconds)
        except TimeoutError:
            raise PartnerUnavailable(self.partner, "no answer in time") from None
        except _Interrupted as error:
            raise PartnerUnavailable(self.partner, str(error)) from None
        if heard.status in NOT_DECIDED or not (200 <= heard.status < 300 or 400 <= heard.status < 500):
            raise PartnerUnavailable(self.partner, f"status {heard.status}")
        if heard.status >= 400:
            raise PartnerRefused(self.partner, heard.status, _problem_code(heard))
        if not heard.whole:
            raise PartnerUnavailable(self.partner, "answer too long")
        try:
            return msgspec.json.decode(heard.content, type=shape)
        except UNREADABLE:
            raise PartnerUnavailable(self.partner, "answer not as agreed") from None

    async def _insist(self, method: str, url: httpx.URL, content: bytes, *, seconds: float) -> _Heard:
        async for attempt in stamina.retry_context(
            on=_Interrupted, attempts=TRIES, wait_initial=0.1, wait_max=0.5, wait_jitter=0.2
        ):
            with attempt:
                heard = await self._send(method, url, content, seconds=seconds)
        return heard

    async def _send(self, method: str, url: httpx.URL, content: bytes, *, seconds: float) -> _Heard:
        path = url.raw_path.decode()
        signed = sign(self._secret, PLATFORM_KEY, method, path, content, at=self._clock.now())
        # A packed answer would be larger than the bytes that were counted.
        headers = {**signed, "Accept": "application/json", "Accept-Encoding": "identity"}
        if content:
            headers["Content-Type"] = "application/json"
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS_MAX)
        try:
            async with self._http.stream(
                method, url, content=content, headers=headers, timeout=timeout, follow_redirects=False
            ) as answer:
                if answer.is_server_error:
                    raise _Interrupted(f"status {answer.status_code}")
                return await _listen(answer)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise _Interrupted(type(error).__name__) from None


class Partners:
    """The partners this process can reach, by code."""

    def __init__(self, clients: Mapping[str, PartnerClient]) -> None:
        self._clients = dict(clients)

    def __getitem__(self, code: str) -> PartnerClient:
        """Return the partner's client. Raises PartnerUnavailable when it has no address here."""
        if code not in self._clients:
            raise PartnerUnavailable(code, "no address configured")
        return self._clients[code]


@asynccontextmanager
async def open_partners(settings: Settings) -> AsyncIterator[Partners]:
    """Yield clients of the partners that ``settings`` name an address and a secret for."""
    addresses = {
        PartnerCode.CANTEEN: (settings.canteen_url, settings.canteen_secret),
        PartnerCode.STATION: (settings.station_url, settings.station_secret),
    }
    async with httpx.AsyncClient(trust_env=False) as http:
        yield Partners(
            {
                code.value: PartnerClient(http, code.value, url, secret.get_secret_value())
                for code, (url, secret) in addresses.items()
                if url and secret is not None
            }
        )


def _shares(shares: Sequence[Share]) -> list[dict[str, Any]]:
    """Who pays how much: all that a partner needs to know of whom it serves."""
    return [{"payer": share.payer, "fen": share.fen} for share in shares]


async def _listen(answer: httpx.Response) -> _Heard:
    """Read an answer, ``ANSWER_BYTES_MAX`` of it at most."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        return _Heard(answer.status_code, b"", whole=False)
    content = bytearray()
    async for piece in answer.aiter_bytes():
        content += piece
        if len(content) > ANSWER_BYTES_MAX:
            return _Heard(answer.status_code, b"", whole=False)
    return _Heard(answer.status_code, bytes(content), whole=True)


def _problem_code(heard: _Heard) -> str:
    try:
        problem = msgspec.json.decode(heard.content)
    except UNREADABLE:
        return "unknown"
    code = problem.get("code") if isinstance(problem, dict) else None
    return code if isinstance(code, str) and CODE.fullmatch(code) else "unknown"


def _kept(said: str | None) -> str | None:
    """Return a partner's word without control characters, cut; None when nothing is left."""
    if said is None:
        return None
    # PostgreSQL takes no NUL, and a log or a page has no use for other controls.
    clean = "".join(letter if letter.isprintable() else " " for letter in said)
    return clean.strip()[:KEPT_LENGTH_MAX] or None
