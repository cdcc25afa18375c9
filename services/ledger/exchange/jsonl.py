"""The whole journal as JSON Lines: what an offline check reads and what a new database is filled from.

One JSON object a line, in this order:

1. ``{"pointsbank": "journal", "format": 1, "community_id", "algorithm", "entries", "head", "exported_at",
   "community": {"code", "name", "timezone"}, "accounts", "policies": […], "seals": […]}``; entries,
   accounts: how many; head: the chain's hash at the last line (hex); policies: every version with its body;
   seals: as they stand in the file of seals.
2. ``{"account": {"id", "number", "kind", "owner", "commodity", "opened_at"}}`` in order of number.
3. ``{"hold": {"id", "member", "partner", "amount", "captured", "state", "policy_version", "source_id",
   "opened_at", "expires_at", "ended_at", "opened_by", "ended_by"}}`` in order of the entry that opened it.
4. the journal's lines in order of (number, line): the fields of :class:`pointsbank.domain.chain.Line` and
   ``"hash"``, the chain's hash at the line (hex).

Ids are UUIDs as text, moments ISO 8601 in UTC with microseconds, days ISO 8601; amounts are integers in
milli-points, minutes or fen by the accounts' commodity; debit and credit are account ids.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from pointsbank.platform.database import UnitOfWork
from services.ledger.exchange import export_store
from services.ledger.exchange.source import (
    Books,
    ExportedAccount,
    ExportedLine,
    Progress,
    gathered,
    moment,
    read_lines,
)

FORMAT = 1
"""Version of the layout; a reader refuses one that is newer than it knows."""


async def write(
    uow: UnitOfWork, books: Books, progress: Progress, *, seals: Sequence[dict[str, Any]]
) -> AsyncIterator[str]:
    """Yield the file piece by piece. seals: this community's, as they stand in the file of seals."""
    yield _said(await _header(uow, books, seals))
    for text in gathered(_account(account) for account in books.accounts.values()):
        yield text
    async for holds in export_store.holds(uow):
        yield "".join(_hold(hold) for hold in holds)
    async for lines in read_lines(uow, books, progress):
        yield "".join(map(_line, lines))


async def _header(uow: UnitOfWork, books: Books, seals: Sequence[dict[str, Any]]) -> dict[str, Any]:
    community = books.community
    return {
        "pointsbank": "journal",
        "format": FORMAT,
        "community_id": community.id,
        "algorithm": books.algorithm,
        "entries": books.entries,
        "head": books.head.hex(),
        "exported_at": moment(books.exported_at),
        "community": {"code": community.code, "name": community.name, "timezone": community.timezone},
        "accounts": len(books.accounts),
        "policies": [
            {
                "version": policy["version"],
                "effective_from": policy["effective_from"].isoformat(),
                "body": json.loads(policy["body"]),
                "proposed_by": str(policy["proposed_by"]),
                "approved_by": str(policy["approved_by"]),
                "created_at": moment(policy["created_at"]),
            }
            for policy in await export_store.policies(uow)
        ],
        "seals": list(seals),
    }


def _said(fact: dict[str, Any]) -> str:
    return json.dumps(fact, ensure_ascii=False, separators=(",", ":")) + "\n"


def _account(account: ExportedAccount) -> str:
    return _said(
        {
            "account": {
                "id": str(account.id),
                "number": account.number,
                "kind": account.code.kind.value,
                "owner": str(account.code.owner),
                "commodity": account.code.commodity.value,
                "opened_at": moment(account.opened_at),
            }
        }
    )


def _hold(hold: dict[str, Any]) -> str:
    return _said(
        {
            "hold": {
                "id": str(hold["id"]),
                "member": str(hold["member_ref"]),
                "partner": str(hold["partner_ref"]),
                "amount": hold["amount"],
                "captured": hold["captured"],
                "state": hold["state"],
                "policy_version": hold["policy_version"],
                "source_id": str(hold["source_id"]),
                "opened_at": moment(hold["opened_at"]),
                "expires_at": moment(hold["expires_at"]),
                "ended_at": None if hold["ended_at"] is None else moment(hold["ended_at"]),
                "opened_by": hold["opened_by"],
                "ended_by": hold["ended_by"],
            }
        }
    )


def _line(line: ExportedLine) -> str:
    # By hand: nothing here needs escaping, and it is written a million times.
    reverses = "null" if line.reverses is None else line.reverses
    expires_on = "null" if line.expires_on is None else f'"{line.expires_on.isoformat()}"'
    return (
        f'{{"community_id":{line.community_id},"number":{line.number},"line":{line.line},"id":"{line.id}",'
        f'"kind":"{line.kind}","source_kind":"{line.source_kind}","source_id":"{line.source_id}",'
        f'"actor_ref":"{line.actor_ref}","subject_ref":"{line.subject_ref}",'
        f'"policy_version":{line.policy_version},"occurred_at":"{moment(line.occurred_at)}",'
        f'"recorded_at":"{moment(line.recorded_at)}","reverses":{reverses},"debit":"{line.debit.id}",'
        f'"credit":"{line.credit.id}","amount":{line.amount},"debit_after":{line.debit_after},'
        f'"credit_after":{line.credit_after},"expires_on":{expires_on},"hash":"{line.hash.hex()}"}}\n'
    )
