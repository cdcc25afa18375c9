"""What the audit room takes and tells. People are told by their ledger pseudonym, moments are aware."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Generic, TypeVar
from uuid import UUID

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Period:
    """Recorded time [since, until), and the numbers of the entries recorded in it: after < n <= through."""

    since: datetime
    until: datetime
    after: int
    through: int
    timezone: str


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some of the answers. next_after: what to go on from; None on the last page."""

    items: tuple[Item, ...]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class EntryBrief:
    """An entry in one line. milli_points, minutes: what it moved of each; 0 when nothing.

    reversed_by: number of the entry that took it back, whole or in part.
    """

    number: int
    kind: str
    source_kind: str
    source_id: UUID
    actor_ref: UUID
    subject_ref: UUID
    occurred_at: datetime
    recorded_at: datetime
    milli_points: int
    minutes: int
    reversed_by: int | None


@dataclass(frozen=True, slots=True)
class SelfActed:
    """How many entries of a kind somebody posted about themselves; expected: members do that every day."""

    kind: str
    entries: int
    expected: bool


@dataclass(frozen=True, slots=True)
class Reversal:
    """One reversal. reason: what the decision says; None when the reversal cites no decision."""

    number: int
    reverses: int
    reversed_kind: str
    source_kind: str
    source_id: UUID
    actor_ref: UUID
    subject_ref: UUID
    occurred_at: datetime
    recorded_at: datetime
    milli_points: int
    minutes: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ReversalGroup:
    """Reversals of one kind of entry, for one reason, by one person."""

    reversed_kind: str
    reason: str | None
    actor_ref: UUID
    entries: int
    milli_points: int
    minutes: int


@dataclass(frozen=True, slots=True)
class ReversalGroups:
    """Groups of reversals, the largest first. complete: every reversal of the period is counted."""

    groups: tuple[ReversalGroup, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class LongDay:
    """A volunteer's local day with more confirmed minutes than the threshold.

    Visits belong to the day on which they ended; one whose earning was wholly taken back does not count.
    credited_minutes: what the caps left of them. last_entry: number of the latest entry among them.
    """

    volunteer_ref: UUID
    day: date
    visits: int
    minutes: int
    credited_minutes: int
    last_entry: int


@dataclass(frozen=True, slots=True)
class Flow:
    """What went from one member to another: points earned by the taker on the giver's word, and gifts.

    Less what was taken back; an entry of which nothing is left does not count.
    """

    giver: UUID
    taker: UUID
    entries: int
    milli_points: int
    minutes: int
    last_entry: int


@dataclass(frozen=True, slots=True)
class Ring:
    """Members who pass something round: ``flows[i]`` goes from ``members[i]`` to the next of them.

    The last flow leads back to the first member.
    milli_points: what went all the way round, that is the smallest of the flows.
    """

    members: tuple[UUID, ...]
    flows: tuple[Flow, ...]
    milli_points: int


@dataclass(frozen=True, slots=True)
class Rings:
    """Rings, the most points first. complete: nothing was left out; if not, only weaker ones were."""

    rings: tuple[Ring, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Confirmations:
    """Visits confirmed in one way in one small grid (None: the elder's home is unknown).

    A visit whose earning was wholly taken back does not count, here and for who confirmed.
    """

    small_grid: int | None
    method: str
    strength: int
    visits: int
    minutes: int
    last_entry: int


@dataclass(frozen=True, slots=True)
class WeakConfirmer:
    """Somebody who confirmed weakly: how often, of how many confirmations, for how many minutes."""

    confirmer_ref: UUID
    weak: int
    visits: int
    weak_minutes: int
    last_entry: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """An earning entry that was drawn. What comes from the visit is None when none stands behind it.

    place: in which order it was drawn, from 1. elder, volunteer, confirmer: people's ids. reversed_by: number
    of the entry that took it back, whole or in part.
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
    method: str | None
    elder_id: UUID | None
    volunteer_id: UUID | None
    confirmer_id: UUID | None
    reversed_by: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """A drawn sample and all it takes to draw it again.

    population: entries that took part; tickets: the sum of their weights.
    """

    seed: str
    size: int
    community_id: int
    period: Period
    weights: dict[int, int]
    population: int
    tickets: int
    drawn: tuple[Drawn, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """How a worksheet calls somebody. name and phone are None where only member numbers are told."""

    member_number: str
    name: str | None = None
    phone: str | None = None
