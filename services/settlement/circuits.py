"""Asking a partner only while its circuit lets a call through; what came of it is noted for everybody.

The database has the truth, so that workers share one circuit and one trial; a process remembers for a second
that a partner answers, and asks the database nothing meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import structlog

from pointsbank.domain.circuit import Circuit, CircuitState
from pointsbank.platform import outbox
from pointsbank.platform.database import Database, UnitOfWork
from services.settlement import circuit_store
from services.settlement.client import PartnerClient, PartnerRefused, Partners, PartnerUnavailable
from services.settlement.views import CircuitInfo

log = structlog.get_logger(__name__)

TRIED_SOON = timedelta(seconds=1)
REMEMBERED_SECONDS = 1.0
"""How long a process takes for granted that a partner which answered still may be called."""

T = TypeVar("T")


class CircuitOpen(PartnerUnavailable):
    """Nobody calls the partner now. not_before: when somebody may."""

    def __init__(self, partner: str, not_before: datetime) -> None:
        super().__init__(partner, "left alone until it answers again")
        self.not_before = not_before


class Circuits:
    """One process's view of its partners' circuits."""

    def __init__(self, database: Database, partners: Partners) -> None:
        self._database = database
        self._partners = partners
        self._well_until: dict[tuple[int, UUID], float] = {}

    async def ask(
        self,
        community_id: int,
        partner_id: UUID,
        code: str,
        call: Callable[[PartnerClient], Awaitable[T]],
    ) -> T:
        """Return what ``call`` hears from the partner. Never inside a database transaction.

        Raises CircuitOpen, and what ``call`` raises (PartnerUnavailable, PartnerRefused).
        """
        troubled = await self._admit(community_id, partner_id, code)
        try:
            heard = await call(self._partners[code])
        except PartnerUnavailable as error:
            await self._note(community_id, partner_id, code, error)
            raise
        except PartnerRefused:
            if troubled:
                await self._note(community_id, partner_id, code, None)
            raise
        if troubled:
            await self._note(community_id, partner_id, code, None)
        return heard

    async def _admit(self, community_id: int, partner_id: UUID, code: str) -> bool:
        """Return whether an answer would be news. Raises CircuitOpen."""
        place = (community_id, partner_id)
        if time.monotonic() < self._well_until.get(place, 0.0):
            return False
        async with self._database.unit_of_work(community_id) as uow:
            found = await circuit_store.circuit(uow, partner_id)
            if found.state is not CircuitState.CLOSED:
                found = await _begin_trial(uow, partner_id, code)
        if found.untroubled:
            self._well_until[place] = time.monotonic() + REMEMBERED_SECONDS
        return not found.untroubled

    async def _note(
        self, community_id: int, partner_id: UUID, code: str, error: PartnerUnavailable | None
    ) -> None:
        self._well_until.pop((community_id, partner_id), None)
        async with self._database.unit_of_work(community_id) as uow:
            before = await circuit_store.lock_circuit(uow, partner_id)
            after = before.failed(uow.clock.now()) if error else before.answered()
            if after != before:
                said = outbox.describe(error) if error else None
                await circuit_store.save(uow, partner_id, after, error=said)
        if after.state is not before.state:
            log.warning(
                "circuit_changed", partner=code, community=community_id, state=after.state, was=before.state
            )


async def _begin_trial(uow: UnitOfWork, partner_id: UUID, code: str) -> Circuit:
    now = uow.clock.now()
    before = await circuit_store.lock_circuit(uow, partner_id)
    after = before.admit(now)
    if after is None:
        assert before.next_call_at is not None
        # A trial that is under way is over soon, unless who tries has died.
        trying = before.state is CircuitState.HALF_OPEN
        soon = min(before.next_call_at, now + TRIED_SOON) if trying else before.next_call_at
        raise CircuitOpen(code, soon)
    if after != before:
        await circuit_store.save(uow, partner_id, after, error=None)
    return after


async def circuits(uow: UnitOfWork) -> list[CircuitInfo]:
    """Return the circuit of every partner of the community, in order of code."""
    return await circuit_store.circuits(uow)
