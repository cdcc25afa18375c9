"""The whole journal in hledger's journal format (hledger manual, "Journal": transactions, directives, tags).

Names, dates and amounts are those of the Beancount export, for the same reasons; hledger too orders by date,
then by place in the file. Particulars are tags in transaction comments (none is called ``date``, which
hledger would take for the posting's own). The last transaction moves nothing and asserts every balance,
exactly, since hledger compares what it has calculated and not what it shows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from pointsbank.domain.accounts import AccountCode, Commodity
from pointsbank.platform.database import UnitOfWork
from services.ledger.exchange.names import COMMODITY_NAMES, account_name
from services.ledger.exchange.source import (
    PLACES,
    Books,
    ExportedAccount,
    ExportedLine,
    Progress,
    gathered,
    moment,
    plain,
    read_entries,
)


async def write(uow: UnitOfWork, books: Books, progress: Progress) -> AsyncIterator[str]:
    """Yield the journal piece by piece."""
    yield f"; pointsbank: {books.entries} entries, {books.algorithm} head {books.head.hex()}\n"
    yield "decimal-mark .\n"
    yield "".join(
        f"commodity 1000.{'0' * PLACES[commodity]} {COMMODITY_NAMES[commodity]}\n" for commodity in Commodity
    )
    yield "\naccount Assets  ; type:A\naccount Equity  ; type:E\naccount Expenses  ; type:X\n"
    names = {account.code: account_name(account.code) for account in books.accounts.values()}
    for text in gathered(
        f"account {names[account.code]}  ; number:{account.number}\n" for account in books.accounts.values()
    ):
        yield text
    async for entries in read_entries(uow, books, progress):
        yield "".join(_transaction(books, names, entry) for entry in entries)
    if not books.accounts:
        return
    yield f"\n{books.day(books.recorded_at).isoformat()} * balances\n"
    for text in gathered(_assertion(account, names) for account in books.accounts.values()):
        yield text


def _transaction(books: Books, names: dict[AccountCode, str], entry: list[ExportedLine]) -> str:
    first = entry[0]
    said = [
        f"\n{books.day(first.recorded_at).isoformat()} * ({first.number}) {first.kind}\n"
        f"    ; id:{first.id}\n"
        f"    ; source:{first.source_kind} {first.source_id}\n"
        f"    ; actor:{first.actor_ref}\n"
        f"    ; subject:{first.subject_ref}\n"
        f"    ; policy:{first.policy_version}\n"
        f"    ; occurred_at:{moment(first.occurred_at)}\n"
        f"    ; recorded_at:{moment(first.recorded_at)}\n"
    ]
    if first.reverses is not None:
        said.append(f"    ; reverses:{first.reverses}\n")
    said.append(f"    ; hash:{entry[-1].hash.hex()}\n")
    for line in entry:
        commodity = line.debit.code.commodity
        amount, name = plain(line.amount, commodity), COMMODITY_NAMES[commodity]
        expires = "" if line.expires_on is None else f"  ; expires_on:{line.expires_on.isoformat()}"
        said.append(f"    {names[line.credit.code]}  -{amount} {name}\n")
        said.append(f"    {names[line.debit.code]}  {amount} {name}{expires}\n")
    return "".join(said)


def _assertion(account: ExportedAccount, names: dict[AccountCode, str]) -> str:
    commodity = account.code.commodity
    unit = COMMODITY_NAMES[commodity]
    nothing, balance = plain(0, commodity), plain(account.balance, commodity)
    return f"    {names[account.code]}  {nothing} {unit} = {balance} {unit}\n"
