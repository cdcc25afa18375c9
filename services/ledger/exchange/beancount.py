"""The whole journal as a Beancount ledger (version 2 or 3; grammar: Beancount Language Syntax).

One transaction an entry, dated by the community's day on which it was *recorded*. Beancount orders by date
and checks a ``balance`` at the day's first moment. Recorded moments ascend with entry numbers, so the file is
in order as it stands, an entry that comes later never changes the past of an earlier export, and the
balances at the end (dated the day after the last entry) hold whatever was backdated. When an entry happened
is in its ``occurred_at``. Every ``balance`` allows a difference of 0: left alone, Beancount forgives a
milli-point.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from pointsbank.domain.accounts import AccountCode, Commodity
from pointsbank.platform.database import UnitOfWork
from services.ledger.exchange.names import COMMODITY_NAMES, account_name
from services.ledger.exchange.source import (
    Books,
    ExportedLine,
    Progress,
    gathered,
    moment,
    plain,
    read_entries,
)


async def write(uow: UnitOfWork, books: Books, progress: Progress) -> AsyncIterator[str]:
    """Yield the ledger piece by piece."""
    code = books.community.code.replace('"', "'")
    day = books.first_day.isoformat()
    yield (
        f";; pointsbank: {books.entries} entries, {books.algorithm} head {books.head.hex()}\n"
        f'option "title" "{code}"\noption "operating_currency" "{COMMODITY_NAMES[Commodity.POINT]}"\n\n'
        + "".join(f"{day} commodity {name}\n" for name in COMMODITY_NAMES.values())
        + "\n"
    )
    names = {account.code: account_name(account.code) for account in books.accounts.values()}
    for text in gathered(
        f"{day} open {names[account.code]} {COMMODITY_NAMES[account.code.commodity]}\n"
        f"  number: {account.number}\n"
        f'  opened_at: "{moment(account.opened_at)}"\n'
        for account in books.accounts.values()
    ):
        yield text
    async for entries in read_entries(uow, books, progress):
        yield "".join(_transaction(books, names, entry) for entry in entries)
    day = (books.day(books.recorded_at) + timedelta(days=1)).isoformat()
    yield "\n"
    for text in gathered(
        f"{day} balance {names[account.code]} {plain(account.balance, account.code.commodity)} ~ 0 "
        f"{COMMODITY_NAMES[account.code.commodity]}\n"
        for account in books.accounts.values()
    ):
        yield text


def _transaction(books: Books, names: dict[AccountCode, str], entry: list[ExportedLine]) -> str:
    first = entry[0]
    said = [
        f'\n{books.day(first.recorded_at).isoformat()} * "{first.kind}"\n'
        f"  number: {first.number}\n"
        f'  id: "{first.id}"\n'
        f'  source: "{first.source_kind} {first.source_id}"\n'
        f'  actor: "{first.actor_ref}"\n'
        f'  subject: "{first.subject_ref}"\n'
        f"  policy: {first.policy_version}\n"
        f'  occurred_at: "{moment(first.occurred_at)}"\n'
        f'  recorded_at: "{moment(first.recorded_at)}"\n'
    ]
    if first.reverses is not None:
        said.append(f"  reverses: {first.reverses}\n")
    said.append(f'  hash: "{entry[-1].hash.hex()}"\n')
    for line in entry:
        commodity = line.debit.code.commodity
        amount, name = plain(line.amount, commodity), COMMODITY_NAMES[commodity]
        said.append(f"  {names[line.credit.code]}  -{amount} {name}\n")
        said.append(f"  {names[line.debit.code]}  {amount} {name}\n")
        if line.expires_on is not None:
            said.append(f"    expires_on: {line.expires_on.isoformat()}\n")
    return "".join(said)
