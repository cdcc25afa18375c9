"""What the people room takes and tells. Never rows of its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from pointsbank.domain.resident import Gender, PlaceKind
from pointsbank.domain.roles import Actor, Role
from pointsbank.domain.subsidy.payers import Hardship


@dataclass(frozen=True, slots=True)
class CommunityInfo:
    """A community. timezone: IANA name."""

    id: int
    code: str
    name: str
    timezone: str


@dataclass(frozen=True, slots=True)
class GridInfo:
    """A small grid and the big grid it lies in."""

    number: int
    name: str
    big_grid: int
    big_grid_name: str


@dataclass(frozen=True, slots=True)
class NewPlace:
    """An estate, compound or village to register. Names are unique in a community."""

    kind: PlaceKind
    name: str


@dataclass(frozen=True, slots=True)
class NewBuilding:
    """A building to register in the place of that name. Names are unique within a place.

    east_m, north_m: metres from the community's centre, both or neither.
    """

    place_name: str
    name: str
    small_grid: int
    east_m: int | None = None
    north_m: int | None = None


@dataclass(frozen=True, slots=True)
class BuildingInfo:
    """A registered building."""

    id: UUID
    place: str
    name: str
    small_grid: int
    east_m: int | None = None
    north_m: int | None = None

    @property
    def label(self) -> str:
        """Place and building, as a neighbour would say it."""
        return f"{self.place} {self.name}"


@dataclass(frozen=True, slots=True)
class HomeInfo:
    """Who somebody is and where they live; metres from the community's centre, both or neither."""

    id: UUID
    name: str
    gender: Gender
    small_grid: int
    east_m: int | None
    north_m: int | None


@dataclass(frozen=True, slots=True)
class NewPerson:
    """A resident to register.

    content_key: 32 bytes that are the same whenever the same record comes again. roles: each with the small
    grid it is held in, or None.
    """

    name: str
    phone: str | None = None
    gender: Gender = Gender.UNKNOWN
    born_on: date | None = None
    building_id: UUID | None = None
    room: str | None = None
    member_number: str | None = None
    canteen_eligible: bool = False
    roles: Mapping[Role, int | None] = field(default_factory=dict)
    content_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class StandingInfo:
    """Hardship and household of a resident from a day on. set_by: None when it came with a roster."""

    effective_from: date
    hardship: Hardship | None
    household: str | None
    set_by: UUID | None
    set_at: datetime


@dataclass(frozen=True, slots=True)
class PersonInfo:
    """A resident. ``ledger_ref`` is the pseudonym the ledger knows; small_grid: of their building."""

    id: UUID
    ledger_ref: UUID
    member_number: str | None
    name: str
    phone: str | None
    gender: Gender
    born_on: date | None
    building_id: UUID | None
    place: str | None
    building: str | None
    room: str | None
    small_grid: int | None
    canteen_eligible: bool
    roles: Mapping[Role, int | None]

    @property
    def building_label(self) -> str:
        """Place and building, as a neighbour would say it; empty when unknown."""
        return " ".join(part for part in (self.place, self.building) if part)

    @property
    def address(self) -> str:
        """Place, building and room."""
        return " ".join(part for part in (self.place, self.building, self.room) if part)

    @property
    def actor(self) -> Actor:
        """This person as one who acts."""
        return Actor(person_id=self.id, ledger_ref=self.ledger_ref, roles=frozenset(self.roles))
