"""The public proof of each day, for anybody: where all that was ever minted is. It names nobody."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import FromPath, QueryParameter

from api.auth import ANYONE
from api.dependencies import desk
from api.gate import Gate
from pointsbank.domain.errors import NotFound
from pointsbank.domain.public_proof import Term
from services.ledger.proof import daily
from services.ledger.proof.daily import DayProof
from services.people import service as people
from services.people.views import CommunityInfo

READERS_MAX, WAITING_MAX = 4, 8
CACHE_SECONDS = 60
PAGE_DEFAULT = 20

_readers = Gate(READERS_MAX, WAITING_MAX)

Limit = Annotated[int, QueryParameter(ge=1, le=daily.PROOFS_MAX)]


async def read_proofs(
    request: Request[Any, Any, State], code: str, *, before: date | None, limit: int
) -> tuple[CommunityInfo, list[DayProof]]:
    """Return a community and its newest proofs. Raises NotFound, TooManyReaders."""
    database = desk(request).database
    async with _readers.enter():
        async with database.session() as session:
            found = [each for each in await people.communities(session) if each.code == code]
        if not found:
            raise NotFound(what="community")
        async with database.unit_of_work(found[0].id) as uow:
            return found[0], await daily.proofs(uow, before=before, limit=limit)


@get("/proofs/{code:str}", opt=ANYONE, include_in_schema=False)
async def published(
    request: Request[Any, Any, State],
    code: FromPath[str],
    before: Annotated[date | None, QueryParameter(description="a day to go on from")] = None,
    limit: Limit = PAGE_DEFAULT,
) -> Response[dict[str, Any]]:
    """Return a community's proofs, newest first. Amounts: milli-points, minutes, fen.

    In each commodity minted = available + held + spent + expired + donated + adjusted.
    Raises NotFound, TooManyReaders.
    """
    _, found = await read_proofs(request, code, before=before, limit=limit)
    told = [
        {
            "day": each.day.isoformat(),
            "proved_at": each.proved_at.isoformat(),
            "entry_number": each.entry_number,
            "head_hash": each.head_hash.hex(),
            "sound": each.sound,
            "sums": {
                sums.commodity.value: {
                    "minted": sums.minted,
                    **{term.value: sums.terms[term] for term in Term},
                    "adjusted": sums.adjusted,
                    "difference": sums.difference,
                }
                for sums in each.sums
            },
            "seal": each.seal,
        }
        for each in found
    ]
    return Response(
        {
            "community": code,
            "proofs": told,
            "next_before": told[-1]["day"] if len(told) == limit else None,
        },
        headers={"Cache-Control": f"public, max-age={CACHE_SECONDS}"},
    )


ROUTES = [published]
