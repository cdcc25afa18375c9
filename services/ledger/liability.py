"""The liability report: what members can still spend, how old it is, and what covers it."""

from __future__ import annotations

from pointsbank.domain.accounts import AccountKind, Commodity
from pointsbank.domain.liability import Liability, liability
from pointsbank.domain.roles import READERS, Actor
from pointsbank.platform.database import UnitOfWork
from services.ledger import liability_store, service, store
from services.people import service as people


async def report(uow: UnitOfWork, actor: Actor) -> Liability:
    """Return the community's liability as it stands today, under the policy in force.

    What a member has is taken to be what they received last, for the oldest is spent first.
    Raises NotAllowed.
    """
    actor.require(*READERS, action="view_liability")
    policy = await service.policy_on(uow, await people.local_today(uow))
    owed = sum(
        balance
        for kind, commodity, _, balance in await store.trial_balance(uow)
        if kind is AccountKind.SUBSIDY_FUND and commodity is Commodity.FEN
    )
    return liability(
        await liability_store.outstanding_by_days(uow),
        prices=[(item.milli_points, item.fen) for item in policy.items.values()],
        owed_fen=-owed,
        rules=policy.backing,
    )
