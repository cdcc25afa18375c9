"""What waits for a second person, in words for the coordinator's desk."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from api.web.visitor import Visitor
from pointsbank.domain.decision import DecisionKind, DecisionState
from pointsbank.platform.database import UnitOfWork
from services.ledger import decisions, policies
from services.people import service as people

SHOWN_MAX = 50


@dataclass(frozen=True, slots=True)
class Waiting:
    """One line of the desk. path: where its buttons lead; mine: proposed by, or about, who looks."""

    path: str
    heading: str
    particulars: str
    proposed_by: str
    mine: bool


async def waiting(uow: UnitOfWork, visitor: Visitor) -> list[Waiting]:
    """Return what was proposed and not decided, the oldest first."""
    found = await decisions.decisions(uow, state=DecisionState.PROPOSED, limit=SHOWN_MAX)
    proposals = await policies.proposals(uow, state=DecisionState.PROPOSED, limit=SHOWN_MAX)
    refs = {ref for each in found for ref in (each.member_ref, each.proposed_by)}
    refs |= {each.proposed_by for each in proposals}
    named = await people.people_by_ledger_ref(uow, sorted(refs))
    words, me = visitor.words, visitor.actor.ledger_ref

    def name(ref: UUID) -> str:
        return named[ref].name if ref in named else "—"

    lines = []
    for each in found:
        what = words.t(f"decision.{each.kind}")
        if each.kind is DecisionKind.REVERSAL:
            what = words.t("decisions.reverses", number=each.entry_number)
        moved = "" if each.amount is None else f" · {words.amount(each.amount, each.commodity)}"
        lines.append(
            Waiting(
                path=f"/decisions/{each.id}",
                heading=f"{what}{moved}",
                particulars=f"{name(each.member_ref)} · {words.t(f'decision_reason.{each.reason}')}",
                proposed_by=name(each.proposed_by),
                mine=me in (each.proposed_by, each.member_ref),
            )
        )
    for proposal in reversed(proposals):
        lines.append(
            Waiting(
                path=f"/policies/{proposal.number}",
                heading=words.t("decisions.policy", number=proposal.number),
                particulars=words.t("decisions.from", day=words.day(proposal.effective_from)),
                proposed_by=name(proposal.proposed_by),
                mine=me == proposal.proposed_by,
            )
        )
    return lines
