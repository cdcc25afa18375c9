"""Posting, balances, statements and policy versions.

A refused entry leaves no trace in the journal: the same key may be sent again and is judged anew, so a
refusal stands only as long as its reason does. A posted key answers its first result for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from pointsbank.domain import accounts
from pointsbank.domain.accounts import AccountCode, AccountKind, Commodity
from pointsbank.domain.errors import InvalidValue, NotFound, WrongState
from pointsbank.domain.journal import (
    REVERSIBLE,
    TRANSFERS_MAX,
    EntryKind,
    JournalEntry,
    Origin,
    SourceKind,
    Transfer,
    reversal,
    taken_back,
)
from pointsbank.domain.points import MilliPoints
from pointsbank.domain.policy import Policy, UnknownServiceKind, parse_policy
from pointsbank.platform.database import UnitOfWork
from services.ledger import policy_store, store
from services.ledger.batch import accounts_of, batches_of, require_linkable
from services.ledger.verdicts import (
    UNKNOWN_ACCOUNT,
    LinkedRefused,
    recorded,
    require_past,
    reused,
    verdict_of,
)
from services.ledger.views import (
    EntryInfo,
    EntryLeg,
    Recorded,
    Statement,
    StatementLine,
    TrialBalance,
    TrialBalanceLine,
    Verdict,
)
from services.people import service as people

BATCH_ENTRIES_MAX = 2_000
STATEMENT_LINES_MAX = 1_000
PAGE_MAX = 200
ALGORITHM = "sha256"
LATE_AFTER = timedelta(days=1)
"""What is recorded longer after it happened than this has an index of its own (``tables.LATE``)."""


async def open_ledger(uow: UnitOfWork) -> None:
    """Give a new community its empty journal."""
    await store.open_ledger(uow, algorithm=ALGORITHM)


async def post(uow: UnitOfWork, entry: JournalEntry) -> Recorded:
    """Record one entry in the caller's unit of work.

    The community's one lock is held until that ends: post last. Raises InsufficientPoints,
    IdempotencyKeyReused, InvalidValue, WrongState (reversed before, its hold has ended), HoldExpired.
    """
    (verdict,) = await post_many(uow, [entry])
    return recorded(verdict)


async def post_linked(uow: UnitOfWork, entries: Sequence[JournalEntry]) -> list[Recorded]:
    """Record entries all or none, in order, in the caller's unit of work.

    Raises what refused the first of them that could not be posted; nothing is then recorded.
    """
    require_linkable(entries)
    verdicts = await _apply(uow, entries, links=[1] * len(entries))
    refused = [verdict for verdict in verdicts if verdict.error is not None]
    for verdict in refused:
        if not isinstance(verdict.error, LinkedRefused):
            recorded(verdict)
    return [recorded(verdict) for verdict in verdicts]


async def post_many(uow: UnitOfWork, entries: Sequence[JournalEntry]) -> list[Verdict]:
    """Record entries in order, in the caller's unit of work, and return a verdict for each.

    Each entry is posted or refused alone; a refusal never touches its neighbours. Accounts open at their
    first posting. A key that comes twice in ``entries`` is judged once.
    """
    first: dict[str, JournalEntry] = {}
    for entry in entries:
        first.setdefault(entry.key, entry)
    unique = list(first.values())
    verdicts: dict[str, Verdict] = {}
    for batch in batches_of(unique, BATCH_ENTRIES_MAX):
        for entry, verdict in zip(batch, await _apply(uow, batch), strict=True):
            verdicts[entry.key] = verdict
    return [
        verdicts[entry.key] if entry.asks_the_same(first[entry.key]) else reused(entry) for entry in entries
    ]


async def _apply(
    uow: UnitOfWork, batch: Sequence[JournalEntry], *, links: Sequence[int] | None = None
) -> list[Verdict]:
    recorded_at = uow.clock.now()
    for entry in batch:
        require_past(entry, recorded_at)
    applied = await store.apply_entries(uow, batch, recorded_at=recorded_at, links=links)
    if applied[0].verdict == UNKNOWN_ACCOUNT:
        # Nothing was tried, so that the order in which entries are judged is always the caller's.
        await store.open_accounts(uow, accounts_of(batch))
        applied = await store.apply_entries(uow, batch, recorded_at=recorded_at, links=links)
    return [verdict_of(uow.community_id, entry, result) for entry, result in zip(batch, applied, strict=True)]


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
    numbers = await store.account_numbers(uow, list(codes.values()))
    start = await store.last_entry_before(uow, from_)
    spans = [store.Earned(number, start, from_, to) for number in numbers.values()]
    earned = dict(zip(numbers, await store.earned(uow, spans), strict=True))
    return {member: MilliPoints(earned.get(code, 0)) for member, code in codes.items()}


async def minutes_taken_back(uow: UnitOfWork, numbers: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return, for those of the numbered entries that were taken back, by which entry and how many minutes.

    Nothing for one of which only points were taken back: its minutes stand.
    """
    return await store.minutes_taken_back(uow, numbers) if numbers else {}


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
    account = await _account(uow, code)
    shown: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    opening = closing = 0
    if account is not None:
        before = await store.last_entry_before(uow, from_)
        through = await store.last_entry_before(uow, to)
        # An entry is told whole: its number is where the next page goes on from.
        rows = await store.lines(
            uow,
            account,
            after_entry=max(before, after),
            through_entry=through,
            limit=limit + TRANSFERS_MAX + 1,
        )
        last = rows[limit - 1]["number"] if len(rows) >= limit else None
        shown = [row for place, row in enumerate(rows) if place < limit or row["number"] == last]
        opening = await store.balance_at_entry(uow, account, before)
        closing = await store.balance_at_entry(uow, account, through)
    return Statement(
        commodity=code.commodity,
        from_=from_,
        to=to,
        opening=opening,
        lines=tuple(StatementLine(**row) for row in shown),
        closing=closing,
        more=len(rows) > len(shown),
    )


async def entries_before(uow: UnitOfWork, at: datetime) -> int:
    """Return how many entries were recorded before ``at``: the number of the last one."""
    return await store.last_entry_before(uow, at)


async def balance_as_of(uow: UnitOfWork, code: AccountCode, at: datetime) -> int:
    """Return what the account had just before ``at``, as the bank knew it then (recorded time)."""
    account = await _account(uow, code)
    if account is None:
        return 0
    return await store.balance_at_entry(uow, account, await store.last_entry_before(uow, at))


async def balance_as_happened(uow: UnitOfWork, code: AccountCode, at: datetime) -> int:
    """Return what the account had just before ``at``, as the bank knows it today (occurred time).

    What was recorded by then, and what had happened by then but was recorded later. Nothing is recorded
    before it happens, so nothing recorded by then has to be taken off again.
    """
    account = await _account(uow, code)
    if account is None:
        return 0
    known = await store.last_entry_before(uow, at)
    soon = await store.last_entry_before(uow, at + LATE_AFTER)
    late = await store.recorded_late(uow, account, at, after_entry=known, soon=soon)
    return await store.balance_at_entry(uow, account, known) + late


async def last_number_before(uow: UnitOfWork, at: datetime) -> int:
    """Return the number of the last entry recorded before ``at``; 0 when there is none."""
    return await store.last_entry_before(uow, at)


async def last_number(uow: UnitOfWork) -> int:
    """Return the number of the last entry; 0 when there is none."""
    return await store.last_entry_before(uow, datetime.max.replace(tzinfo=UTC))


async def _account(uow: UnitOfWork, code: AccountCode) -> int | None:
    return (await store.account_numbers(uow, [code])).get(code)


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
    for row in await store.lines_of(uow, numbers):
        for side, sign in (("credit", -1), ("debit", 1)):
            legs[row["number"]].append(
                EntryLeg(
                    account_kind=AccountKind(row[f"{side}_kind"]),
                    owner_ref=row[f"{side}_owner"],
                    commodity=Commodity(row["commodity"]),
                    amount=sign * row["amount"],
                    balance_after=row[f"{side}_after"],
                    expires_on=row["expires_on"] if side == "debit" else None,
                )
            )
    return [
        EntryInfo(
            **{name: row[name] for name in EntryInfo.__slots__ if name != "legs"},
            legs=tuple(legs[row["number"]]),
        )
        for row in rows
    ]


async def reverse(
    uow: UnitOfWork,
    number: int,
    *,
    actor: UUID,
    amount: MilliPoints | None = None,
    decision: UUID | None = None,
) -> Recorded:
    """Take back entry ``number``, whole or in part, once.

    Holds and settlements have endings of their own and are never reversed: the journal refuses it too.
    actor: pseudonym of who decides. amount: how many milli-points of an entry in points go back; None for
    everything. decision: the decision to take it back, which the reversal then cites in place of the entry's
    own document. Raises NotFound, WrongState, InvalidValue, InsufficientPoints (already spent).
    """
    original = await entry(uow, number)
    moved = going_back(original, amount)
    if decision is not None and await store.reversed_by(uow, number) is not None:
        raise WrongState(what="journal_entry", state="reversed", action="reverse")
    origin = Origin(
        source_kind=SourceKind(original.source_kind) if decision is None else SourceKind.REVERSAL,
        source_id=decision or original.source_id,
        actor=actor,
        subject=original.subject_ref,
        policy_version=original.policy_version,
    )
    return await post(uow, reversal(number, moved, origin=origin, occurred_at=uow.clock.now()))


async def refund(uow: UnitOfWork, number: int, *, actor: UUID, amount: MilliPoints) -> Recorded:
    """Take back ``amount`` milli-points of the capture ``number``, once: from the partner to the member.

    For a refund that has been decided and is kept beside it. The lots that were spent come back with their
    old days. actor: pseudonym of who decided. Raises NotFound, WrongState (no capture, refunded before),
    InvalidValue.
    """
    original = await entry(uow, number)
    paid = original.transfers[0]
    if original.kind != EntryKind.CAPTURE:
        raise WrongState(what="journal_entry", state="not_reversible", action="reverse")
    if await store.reversed_by(uow, number) is not None:
        raise WrongState(what="journal_entry", state="reversed", action="reverse")
    if not 0 < amount <= paid.amount:
        raise InvalidValue(field="amount", rule="within_entry")
    origin = Origin(
        source_kind=SourceKind.REDEMPTION,
        source_id=original.source_id,
        actor=actor,
        subject=original.subject_ref,
        policy_version=original.policy_version,
    )
    back = Transfer(paid.target, accounts.available(original.subject_ref), amount)
    return await post(uow, reversal(number, [back], origin=origin, occurred_at=uow.clock.now()))


def going_back(original: EntryInfo, amount: MilliPoints | None) -> list[Transfer]:
    """Return what a reversal of an entry moves; a gift's lots go back in one transfer.

    Raises WrongState (not reversible), InvalidValue.
    """
    if original.kind not in REVERSIBLE:
        raise WrongState(what="journal_entry", state="not_reversible", action="reverse")
    summed: dict[tuple[AccountCode, AccountCode], int] = {}
    for back in map(taken_back, original.transfers):
        pair = back.source, back.target
        summed[pair] = summed.get(pair, 0) + back.amount
    if amount is None:
        return [Transfer(source, target, moved) for (source, target), moved in summed.items()]
    in_points = [pair for pair in summed if pair[0].commodity is Commodity.POINT]
    if len(in_points) != 1 or not 0 < amount <= summed[in_points[0]]:
        raise InvalidValue(field="amount", rule="within_entry")
    return [Transfer(*in_points[0], amount)]


async def add_policy(
    uow: UnitOfWork, *, effective_from: date, body: dict[str, Any], proposed_by: UUID, approved_by: UUID
) -> int:
    """Store a new policy version and return its number. Numbers have no gaps.

    proposed_by, approved_by: pseudonyms; they differ, except for the first version (a founding has no two).
    Raises InvalidValue for a malformed body, or a day that has passed.
    """
    await policy_store.take_turn(uow)
    version = await require_sound_policy(uow, effective_from, body)
    if version > 1 and proposed_by == approved_by:
        raise InvalidValue(field="approved_by", rule="second_person")
    await policy_store.insert(uow, version, effective_from, body, proposed_by, approved_by)
    return version


async def require_sound_policy(uow: UnitOfWork, effective_from: date, body: dict[str, Any]) -> int:
    """Return the number a new version would get. Raises InvalidValue naming the field that is wrong.

    Only the founding's version may cover the past: what was posted was decided by what was in force then.
    Versions take effect in the order of their numbers.
    """
    last = await policy_store.last_version(uow)
    parse_policy(last + 1, effective_from, body)
    if last:
        if effective_from < await people.local_today(uow):
            raise InvalidValue(field="effective_from", rule="not_in_the_past")
        before = await policy_store.get(uow, last)
        assert before is not None
        if effective_from < before.effective_from:
            raise InvalidValue(field="effective_from", rule="not_before_the_last")
    return last + 1


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
