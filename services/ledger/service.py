"""Posting, balances, statements and policy versions.

A refused entry leaves no trace in the journal: the same key may be sent again and is judged anew, so a
refusal stands only as long as its reason does. A posted key answers its first result for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pointsbank.domain import accounts
from pointsbank.domain.accounts import AccountCode, AccountKind, Commodity
from pointsbank.domain.errors import DomainError, InvalidValue, NotFound, WrongState
from pointsbank.domain.journal import (
    EntryKind,
    IdempotencyKeyReused,
    InsufficientPoints,
    JournalEntry,
    Origin,
    Posting,
    SourceKind,
    reversal,
)
from pointsbank.domain.points import MilliPoints
from pointsbank.domain.policy import Policy, UnknownServiceKind, parse_policy
from pointsbank.platform.database import UnitOfWork
from services.ledger import policy_store, store
from services.ledger.store import Applied
from services.ledger.views import (
    EntryInfo,
    EntryLeg,
    Recorded,
    Statement,
    StatementLine,
    TrialBalance,
    TrialBalanceLine,
    Verdict,
    VerdictKind,
)

BATCH_ENTRIES_MAX = 2_000
STATEMENT_LINES_MAX = 1_000
PAGE_MAX = 200
ALGORITHM = "sha256"


async def open_ledger(uow: UnitOfWork) -> None:
    """Give a new community its empty journal."""
    await store.open_ledger(uow, algorithm=ALGORITHM)


async def post(uow: UnitOfWork, entry: JournalEntry) -> Recorded:
    """Record one entry in the caller's unit of work.

    Raises InsufficientPoints, IdempotencyKeyReused, WrongState (already reversed).
    """
    (verdict,) = await post_many(uow, [entry])
    if verdict.error is not None:
        raise verdict.error
    assert verdict.number is not None
    return Recorded(verdict.number, already=verdict.kind is VerdictKind.ALREADY)


async def post_many(uow: UnitOfWork, entries: Sequence[JournalEntry]) -> list[Verdict]:
    """Record entries in order, in the caller's unit of work, and return a verdict for each.

    Each entry is posted or refused alone; a refusal never touches its neighbours. Accounts open at their
    first posting. A key that comes twice in ``entries`` is judged once.
    """
    verdicts: dict[str, Verdict] = {}
    first: dict[str, JournalEntry] = {}
    for entry in entries:
        first.setdefault(entry.key, entry)
    unique = list(first.values())
    recorded_at = uow.clock.now()
    for start in range(0, len(unique), BATCH_ENTRIES_MAX):
        batch = unique[start : start + BATCH_ENTRIES_MAX]
        applied = await store.apply_entries(uow, batch, recorded_at=recorded_at)
        if any(result.verdict == "unknown_account" for result in applied):
            # Nothing was tried, so that the order in which entries are judged is always the caller's.
            await store.open_accounts(uow, (leg.account for entry in batch for leg in entry.postings))
            applied = await store.apply_entries(uow, batch, recorded_at=recorded_at)
        for entry, result in zip(batch, applied, strict=True):
            verdicts[entry.key] = _verdict(uow, entry, result)
    return [
        verdicts[entry.key]
        if entry.fingerprint == first[entry.key].fingerprint
        else Verdict(VerdictKind.REFUSED, None, IdempotencyKeyReused(key=entry.key))
        for entry in entries
    ]


def _verdict(uow: UnitOfWork, entry: JournalEntry, applied: Applied) -> Verdict:
    match applied.verdict:
        case "posted":
            return Verdict(VerdictKind.POSTED, applied.number)
        case "already":
            return Verdict(VerdictKind.ALREADY, applied.number)
        case "key_reused":
            return Verdict(VerdictKind.REFUSED, None, IdempotencyKeyReused(key=entry.key))
        case "already_reversed" | "not_reversible":
            state = "reversed" if applied.verdict == "already_reversed" else "not_an_earning"
            error: DomainError = WrongState(what="journal_entry", state=state, action="reverse")
            return Verdict(VerdictKind.REFUSED, None, error)
        case "floor":
            ids = {store.account_id(uow.community_id, leg.account): leg.account for leg in entry.postings}
            account = ids[applied.account] if applied.account else entry.postings[0].account
            asked = -sum(leg.amount for leg in entry.postings if leg.account == account)
            available = applied.available or 0
            error = InsufficientPoints(account_kind=account.kind, available=available, requested=asked)
            return Verdict(VerdictKind.REFUSED, None, error)
        case _:
            return Verdict(VerdictKind.REFUSED, None, NotFound(what="account"))


async def balance(uow: UnitOfWork, code: AccountCode) -> int:
    """Return an account's balance now (milli-points, minutes or fen); 0 if it was never used."""
    return (await store.balances(uow, [code]))[code]


async def balances(uow: UnitOfWork, codes: Sequence[AccountCode]) -> dict[AccountCode, int]:
    """Return the balances of several accounts."""
    return await store.balances(uow, codes)


async def earned_between(uow: UnitOfWork, member: UUID, from_: datetime, to: datetime) -> MilliPoints:
    """Return the points a member earned by visits that ended in [from_, to)."""
    return (await earned_between_many(uow, [member], from_, to))[member]


async def earned_between_many(
    uow: UnitOfWork, members: Sequence[UUID], from_: datetime, to: datetime
) -> dict[UUID, MilliPoints]:
    """Return, for each member's pseudonym, the points earned by visits that ended in [from_, to)."""
    codes = {member: accounts.available(member) for member in members}
    earned = await store.earned_between(uow, list(codes.values()), from_, to)
    return {member: MilliPoints(earned[code]) for member, code in codes.items()}


async def statement(
    uow: UnitOfWork,
    code: AccountCode,
    from_: datetime,
    to: datetime,
    *,
    after: int = 0,
    limit: int = STATEMENT_LINES_MAX,
) -> Statement:
    """Return an account's opening balance, lines and closing balance over recorded time [from_, to).

    after: number of the last entry already shown, to go on from where ``more`` was said. Reads the lines
    of the period and a few look-ups, however long the account's history is.
    """
    if to <= from_:
        raise InvalidValue(field="to", rule="after_from")
    limit = max(1, min(limit, STATEMENT_LINES_MAX))
    before = await store.last_entry_before(uow, from_)
    through = await store.last_entry_before(uow, to)
    rows = await store.lines(
        uow, code, after_entry=max(before, after), through_entry=through, limit=limit + 1
    )
    shown = tuple(StatementLine(**row) for row in rows[:limit])
    return Statement(
        commodity=code.commodity,
        from_=from_,
        to=to,
        opening=await store.balance_at_entry(uow, code, before),
        lines=shown,
        closing=await store.balance_at_entry(uow, code, through),
        more=len(rows) > limit,
    )


async def balance_as_of(uow: UnitOfWork, code: AccountCode, at: datetime) -> int:
    """Return what the account had just before ``at``, as the bank knew it then (recorded time)."""
    return await store.balance_at_entry(uow, code, await store.last_entry_before(uow, at))


async def trial_balance(uow: UnitOfWork) -> TrialBalance:
    """Return every account summed by kind and commodity."""
    rows = await store.trial_balance(uow)
    return TrialBalance(tuple(TrialBalanceLine(*row) for row in rows))


async def entries(
    uow: UnitOfWork,
    *,
    after: int = 0,
    limit: int = 50,
    kind: EntryKind | None = None,
    newest_first: bool = False,
) -> list[EntryInfo]:
    """Return recorded entries with their postings.

    after: entry number to go on from (with ``newest_first``, the number to go back from; 0: the end).
    """
    limit = max(1, min(limit, PAGE_MAX))
    start = after if not newest_first or after else 2**62
    rows = await store.entries(uow, after=start, limit=limit, kind=kind, descending=newest_first)
    return await _with_legs(uow, rows)


async def entry(uow: UnitOfWork, number: int) -> EntryInfo:
    """Return one entry. Raises NotFound."""
    rows = await store.entries(uow, after=number - 1, limit=1)
    if not rows or rows[0]["number"] != number:
        raise NotFound(what="journal_entry")
    return (await _with_legs(uow, rows))[0]


async def _with_legs(uow: UnitOfWork, rows: list[dict[str, Any]]) -> list[EntryInfo]:
    if not rows:
        return []
    numbers = [row["number"] for row in rows]
    legs: dict[int, list[EntryLeg]] = {number: [] for number in numbers}
    for row in await store.postings_of(uow, numbers):
        legs[row["entry_number"]].append(
            EntryLeg(
                account_kind=AccountKind(row["kind"]),
                owner_ref=row["owner_ref"],
                commodity=Commodity(row["commodity"]),
                amount=row["amount"],
                balance_after=row["balance_after"],
            )
        )
    return [
        EntryInfo(
            **{name: row[name] for name in EntryInfo.__slots__ if name != "legs"},
            legs=tuple(legs[row["number"]]),
        )
        for row in rows
    ]


async def reverse(uow: UnitOfWork, number: int, *, actor: UUID) -> Recorded:
    """Post the mirror image of earning ``number``, once.

    Holds and settlements have endings of their own and are never reversed: the journal refuses it too.
    actor: pseudonym of who decides. Raises NotFound, WrongState, InsufficientPoints (already spent).
    """
    original = await entry(uow, number)
    if original.kind != EntryKind.EARNING:
        raise WrongState(what="journal_entry", state="not_an_earning", action="reverse")
    postings = [
        Posting(AccountCode(leg.account_kind, leg.owner_ref, leg.commodity), leg.amount)
        for leg in original.legs
    ]
    origin = Origin(
        source_kind=SourceKind(original.source_kind),
        source_id=original.source_id,
        actor=actor,
        subject=original.subject_ref,
        policy_version=original.policy_version,
    )
    return await post(uow, reversal(number, postings, origin=origin, occurred_at=original.occurred_at))


async def add_policy(
    uow: UnitOfWork, *, effective_from: date, body: dict[str, Any], proposed_by: UUID, approved_by: UUID
) -> int:
    """Store a new policy version and return its number. Raises InvalidValue for a malformed body.

    proposed_by, approved_by: pseudonyms; they differ, except for the first version (a founding has no two).
    """
    await policy_store.take_turn(uow)
    version = await policy_store.last_version(uow) + 1
    parse_policy(version, effective_from, body)
    if version > 1 and proposed_by == approved_by:
        raise InvalidValue(field="approved_by", rule="second_person")
    await policy_store.insert(uow, version, effective_from, body, proposed_by, approved_by)
    return version


async def policy_on(uow: UnitOfWork, day: date) -> Policy:
    """Return the policy in force on a local day: the latest version effective by then. Raises NotFound."""
    row = await policy_store.effective_on(uow, day)
    if row is None:
        raise NotFound(what="policy")
    return parse_policy(row.version, row.effective_from, row.body)


async def policy_for_kind(uow: UnitOfWork, kind: str, day: date) -> Policy:
    """Return the policy by which service of ``kind`` on ``day`` is judged.

    The version in force, or, where it no longer knows the kind, the last one that did: what was agreed under
    a kind is carried out and paid after the kind has been dropped. Raises NotFound, UnknownServiceKind.
    """
    policy = await policy_on(uow, day)
    if kind in policy.kinds:
        return policy
    for row in await policy_store.all_effective_on(uow, day):
        earlier = parse_policy(row.version, row.effective_from, row.body)
        if kind in earlier.kinds:
            return earlier
    raise UnknownServiceKind(kind=kind)


async def policy(uow: UnitOfWork, version: int) -> Policy:
    """Return one policy version. Raises NotFound."""
    row = await policy_store.get(uow, version)
    if row is None:
        raise NotFound(what="policy")
    return parse_policy(row.version, row.effective_from, row.body)
