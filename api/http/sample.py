"""The sample drawn from a period of recorded time, or from a range of entries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.params import QueryParameter

from api.auth import may
from api.dependencies import SignedIn, read
from api.http.moments import require_moments
from api.http.wire import NUMBER_MAX, Told
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.roles import READERS, Actor
from pointsbank.domain.sampling import SAMPLE_MAX, SEED_LENGTH_MAX
from pointsbank.domain.visit import ConfirmationMethod
from pointsbank.platform.database import UnitOfWork
from services.audit import service as audit
from services.audit.views import Period

SAMPLE_DEFAULT = 30


class DrawnAnswer(Told):
    """A drawn earning entry. ``strength`` 0: no visit stands behind it, and what comes from one is null.

    ``reversed_by``: number of the entry that took it back, whole or in part.
    """

    place: int
    number: int
    occurred_at: datetime
    milli_points: int
    minutes: int
    strength: int
    weight: int
    volunteer_ref: UUID
    kind: str | None
    checked_in_at: datetime | None
    checked_out_at: datetime | None
    method: ConfirmationMethod | None
    elder_id: UUID | None
    reversed_by: int | None


class SampleAnswer(Told):
    """A sample and all it takes to draw it again. ``weights``: tickets by strength of confirmation."""

    seed: str
    size: int
    community_id: int
    after: int
    through: int
    weights: dict[str, int]
    population: int
    tickets: int
    drawn: list[DrawnAnswer]


Since = Annotated[
    datetime | None, QueryParameter(description="recorded from then on; with `until`, or `through`")
]
Until = Annotated[datetime | None, QueryParameter(description="and before then; at most 400 days later")]
After = Annotated[
    int | None, QueryParameter(ge=0, le=NUMBER_MAX, description="in place of moments: entries after this one")
]
Through = Annotated[
    int | None, QueryParameter(ge=1, le=NUMBER_MAX, description="up to this one; recorded already")
]


@get("/sample", opt=may(*READERS), operation_id="draw_sample")
async def sample(
    request: SignedIn,
    seed: Annotated[
        str, QueryParameter(min_length=1, max_length=SEED_LENGTH_MAX, description="any words; keep them")
    ],
    size: Annotated[int, QueryParameter(ge=1, le=SAMPLE_MAX, description="how many")] = SAMPLE_DEFAULT,
    since: Since = None,
    until: Until = None,
    after: After = None,
    through: Through = None,
) -> SampleAnswer:
    """Draw earning entries, weakly confirmed ones more often; the same seed draws the same.

    From a period, or from a range of entries: `after` and `through` of an answer draw it again, also when
    its period had not ended. An entry that was taken back takes part and says by which one.
    An entry has as many tickets as `weights` says for its strength; ticket `t` of entry `n` bears the SHA-256
    of `seed:community_id:n:t`; the entries whose tickets come first in ascending order are drawn.
    """

    async def work(uow: UnitOfWork, _actor: Actor) -> SampleAnswer:
        period = await _sampled(uow, since, until, after, through)
        found = await audit.sample(uow, period, seed=seed, size=size)
        return SampleAnswer(
            seed=found.seed,
            size=found.size,
            community_id=found.community_id,
            after=period.after,
            through=period.through,
            weights={str(strength): weight for strength, weight in found.weights.items()},
            population=found.population,
            tickets=found.tickets,
            drawn=[DrawnAnswer.of(each) for each in found.drawn],
        )

    return await read(request, work)


async def _sampled(
    uow: UnitOfWork, since: datetime | None, until: datetime | None, after: int | None, through: int | None
) -> Period:
    """Return the period to draw from, told by moments or by entries. Raises InvalidValue."""
    if after is None and through is None:
        if since is None or until is None:
            raise InvalidValue(field="since" if since is None else "until", rule="missing")
        require_moments(since=since, until=until)
        return await audit.period(uow, since, until)
    if after is None or through is None:
        raise InvalidValue(field="after" if after is None else "through", rule="missing")
    if since is not None or until is not None:
        raise InvalidValue(field="through", rule="period_or_entries")
    return await audit.period_of_entries(uow, after, through, field="through")
