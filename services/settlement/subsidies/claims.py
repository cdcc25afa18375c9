"""What governments and the community owe for meals over a month or a quarter.

A claim is the frozen shares of the meals that were handed over on its days, and, as negative lines that keep
their day, what went back over those days of whichever meal. It names groups, and pseudonyms only when asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from pointsbank.domain.subsidy.payers import SUBSIDISING, Payer
from pointsbank.domain.subsidy.period import Span, parse_span, span_of
from pointsbank.platform.database import UnitOfWork
from services.ledger import service as ledger
from services.people import service as people
from services.settlement.subsidies import claim_store
from services.settlement.views import Claim, ClaimLine


async def claim(
    uow: UnitOfWork,
    period: str | None = None,
    *,
    payers: Sequence[Payer] = SUBSIDISING,
    by_person: bool = False,
) -> Claim:
    """Return the claim of a ``period`` (``2026-11``, ``2026-Q4``); None: the one that today lies in.

    The length of that one is the policy's. by_person: a line for each pseudonym too, for callers that have
    decided who may know. Today's meals are in it as far as they are captured. Raises InvalidValue.
    """
    today = await people.local_today(uow)
    span = parse_span(period) if period else await _current(uow)
    found = await claim_store.lines(uow, span.first, span.last, payers, by_person=by_person)
    return Claim(
        period=span.code,
        first=span.first,
        last=span.last,
        ended=span.last < today,
        lines=tuple(sorted(found, key=_order)),
    )


async def _current(uow: UnitOfWork) -> Span:
    today = await people.local_today(uow)
    return span_of(today, (await ledger.policy_on(uow, today)).subsidy.claim)


def _order(line: ClaimLine) -> tuple[object, ...]:
    payers = list(Payer)
    return (
        payers.index(line.payer),
        line.place or "",
        line.kind.value != "served",
        line.tier or "",
        line.meal.value,
        str(line.served_on or ""),
        str(line.ledger_ref or ""),
    )
