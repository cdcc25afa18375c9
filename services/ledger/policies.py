"""Policy versions: proposed by one person, approved by another, in force from a day that has not passed."""

from __future__ import annotations

from datetime import date
from typing import Any

from pointsbank.domain.decision import DecisionState, require_decider
from pointsbank.domain.errors import NotFound
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.platform.database import UnitOfWork
from services.ledger import decision_store as store
from services.ledger import lots, policy_store, service
from services.ledger.views import PolicyProposal, PolicyVersionInfo
from services.people import service as people

PAGE_MAX = 200
NUMBER_MAX = 2**31 - 1


def known_number(number: int) -> int:
    """Return ``number`` if a proposal can have it. Raises NotFound."""
    if not 0 < number <= NUMBER_MAX:
        raise NotFound(what="policy_proposal")
    return number


async def propose(
    uow: UnitOfWork, actor: Actor, *, effective_from: date, body: dict[str, Any]
) -> PolicyProposal:
    """Propose a policy version. body: as :func:`pointsbank.domain.policy.parse_policy` reads it.

    Raises NotAllowed, InvalidValue naming the field that is wrong.
    """
    actor.require(*STAFF, action="propose_policy")
    await policy_store.take_turn(uow)
    await service.require_sound_policy(uow, effective_from, body)
    number = await store.insert_proposal(
        uow, effective_from=effective_from, body=body, proposed_by=actor.ledger_ref
    )
    return await proposal(uow, number)


async def approve(uow: UnitOfWork, actor: Actor, number: int) -> PolicyProposal:
    """Approve what somebody else proposed: it becomes the next version. By a coordinator or an auditor.

    Raises NotFound, NotAllowed, WrongState, SecondPersonNeeded, InvalidValue (its day has passed meanwhile).
    """
    found = await _decidable(uow, actor, number)
    await lots.lock(uow)  # no entry is being decided by the rules as they were
    version = await service.add_policy(
        uow,
        effective_from=found.effective_from,
        body=found.body,
        proposed_by=found.proposed_by,
        approved_by=actor.ledger_ref,
    )
    await store.save_proposal_decided(
        uow, number, DecisionState.APPROVED, decided_by=actor.ledger_ref, version=version
    )
    return await proposal(uow, number)


async def refuse(uow: UnitOfWork, actor: Actor, number: int) -> PolicyProposal:
    """Refuse what somebody else proposed. Raises NotFound, NotAllowed, WrongState, SecondPersonNeeded."""
    await _decidable(uow, actor, number)
    await store.save_proposal_decided(
        uow, number, DecisionState.REFUSED, decided_by=actor.ledger_ref, version=None
    )
    return await proposal(uow, number)


async def _decidable(uow: UnitOfWork, actor: Actor, number: int) -> PolicyProposal:
    actor.require(*READERS, action="decide_policy")
    found = await store.proposal(uow, number, lock=True)
    if found is None:
        raise NotFound(what="policy_proposal")
    require_decider(found.state, proposed_by=found.proposed_by, decider=actor.ledger_ref)
    return found


async def proposal(uow: UnitOfWork, number: int) -> PolicyProposal:
    """Return one proposal. Raises NotFound."""
    found = await store.proposal(uow, number)
    if found is None:
        raise NotFound(what="policy_proposal")
    return found


async def proposals(
    uow: UnitOfWork, *, state: DecisionState | None = None, limit: int = 50
) -> list[PolicyProposal]:
    """Return proposals, newest first."""
    return await store.proposals(uow, state, limit=max(1, min(limit, PAGE_MAX)))


async def versions(uow: UnitOfWork) -> list[PolicyVersionInfo]:
    """Return every version, newest first."""
    return [_info(row) for row in await policy_store.all_versions(uow)]


async def version(uow: UnitOfWork, number: int) -> PolicyVersionInfo:
    """Return one version. Raises NotFound."""
    row = await policy_store.get(uow, number)
    if row is None:
        raise NotFound(what="policy")
    return _info(row)


async def in_force(uow: UnitOfWork, day: date | None = None) -> PolicyVersionInfo:
    """Return the version in force on a local day; today unless given. Raises NotFound."""
    row = await policy_store.effective_on(uow, day or await people.local_today(uow))
    if row is None:
        raise NotFound(what="policy")
    return _info(row)


def _info(row: Any) -> PolicyVersionInfo:
    return PolicyVersionInfo(
        version=row.version,
        effective_from=row.effective_from,
        body=row.body,
        proposed_by=row.proposed_by,
        approved_by=row.approved_by,
        created_at=row.created_at,
    )
