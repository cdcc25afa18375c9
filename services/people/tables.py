"""Residents, roles, grids, buildings, and the tokens people sign in with: personal data lives here only."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field

from pointsbank.domain.resident import Gender, PlaceKind
from pointsbank.domain.roles import Role
from pointsbank.domain.subsidy.payers import Hardship
from pointsbank.platform.tables import BankTable, belongs_to, in_community, moment, one_of, word


class TokenPurpose(StrEnum):
    """What a token lets its holder do: open a session, or be one."""

    SIGN_IN = "sign_in"
    SESSION = "session"


class Community(BankTable, table=True):
    """A community. The only table of all communities; its rows are few and public."""

    __tablename__ = "communities"
    __table_args__ = (UniqueConstraint("code"), CheckConstraint("id > 0", name="id"))
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    code: str = word(40)
    name: str = word(100)
    timezone: str = word(60)
    created_at: datetime = moment()


class BigGrid(BankTable, table=True):
    """A big grid (大网格)."""

    __tablename__ = "big_grids"
    __table_args__ = (in_community(), CheckConstraint("number > 0", name="number"))
    community_id: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    name: str = word(60)


class SmallGrid(BankTable, table=True):
    """A small grid (小网格), in a big one."""

    __tablename__ = "small_grids"
    __table_args__ = (
        belongs_to("big_grids", "big_grid", key=("number",)),
        CheckConstraint("number > 0", name="number"),
    )
    community_id: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    big_grid: int
    name: str = word(60)


class GridBoundary(BankTable, table=True):
    """Two small grids that share a boundary, the lower number first."""

    __tablename__ = "grid_boundaries"
    __table_args__ = (
        belongs_to("small_grids", "small_grid", key=("number",)),
        belongs_to("small_grids", "neighbour", key=("number",)),
        CheckConstraint("small_grid < neighbour", name="ordered"),
    )
    community_id: int = Field(primary_key=True)
    small_grid: int = Field(primary_key=True)
    neighbour: int = Field(primary_key=True)


class Place(BankTable, table=True):
    """An estate, compound or village."""

    __tablename__ = "places"
    __table_args__ = (in_community(), one_of("kind", PlaceKind), UniqueConstraint("community_id", "name"))
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    kind: str = word()
    name: str = word(100)


class Building(BankTable, table=True):
    """A building of a place; the small grid it stands in is the grid of who lives there.

    east_m, north_m: metres from the community's centre, where they are known.
    """

    __tablename__ = "buildings"
    __table_args__ = (
        belongs_to("places", "place_id"),
        belongs_to("small_grids", "small_grid", key=("number",)),
        UniqueConstraint("community_id", "place_id", "name"),
        CheckConstraint(
            "(east_m IS NULL) = (north_m IS NULL) AND east_m BETWEEN -50000 AND 50000 "
            "AND north_m BETWEEN -50000 AND 50000",
            name="metres",
        ),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    place_id: UUID
    small_grid: int
    name: str = word(60)
    east_m: int | None = Field(default=None)
    north_m: int | None = Field(default=None)


class Person(BankTable, table=True):
    """A resident. ``ledger_ref`` is all the ledger knows of them."""

    __tablename__ = "people"
    __table_args__ = (
        in_community(),
        belongs_to("buildings", "building_id"),
        one_of("gender", Gender),
        UniqueConstraint("community_id", "ledger_ref"),
        UniqueConstraint("community_id", "member_number"),
        UniqueConstraint("community_id", "content_key"),
        Index("ix_people_building", "community_id", "building_id"),
        Index("ix_people_name", "community_id", "name"),
        CheckConstraint("name <> ''", name="name"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    ledger_ref: UUID
    member_number: str | None = word(40, default=None, nullable=True)
    name: str = word(60)
    phone: str | None = word(20, default=None, nullable=True)
    gender: str = word(default=Gender.UNKNOWN)
    born_on: date | None = Field(default=None)
    building_id: UUID | None = Field(default=None)
    room: str | None = word(20, default=None, nullable=True)
    canteen_eligible: bool = Field(default=False)
    created_at: datetime = moment()
    content_key: bytes | None = Field(default=None, sa_type=LargeBinary, nullable=True)


class SpokenLanguage(BankTable, table=True):
    """A language a person speaks, by its code (``yue``, ``cmn`` …)."""

    __tablename__ = "spoken_languages"
    __table_args__ = (
        belongs_to("people", "person_id"),
        CheckConstraint("language ~ '^[a-z]{2,3}(-[a-z0-9]{2,8}){0,2}(-x-[a-z0-9]{2,8})?$'", name="language"),
    )
    community_id: int = Field(primary_key=True)
    person_id: UUID = Field(primary_key=True)
    language: str = word(20, primary_key=True)


class PersonStanding(BankTable, table=True):
    """Hardship and household of a person from a day on; the latest set for the latest day counts."""

    __tablename__ = "person_standings"
    __table_args__ = (
        belongs_to("people", "person_id"),
        belongs_to("people", "set_by"),
        one_of("hardship", Hardship),
        CheckConstraint("household ~ '^[1-9][0-9]{3}([0-9]{2}([0-9]{3})?)?$'", name="household"),
        CheckConstraint("person_id <> set_by", name="not_for_oneself"),
        Index("ix_person_standings_person", "community_id", "person_id", "effective_from"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    person_id: UUID
    effective_from: date
    hardship: str | None = word(default=None, nullable=True)
    household: str | None = word(9, default=None, nullable=True)
    set_by: UUID | None = Field(default=None)
    set_at: datetime = moment()


class PersonRole(BankTable, table=True):
    """A role a person holds; a grid leader's or building leader's is within a small grid."""

    __tablename__ = "person_roles"
    __table_args__ = (
        belongs_to("people", "person_id"),
        belongs_to("small_grids", "small_grid", key=("number",)),
        one_of("role", Role),
        Index("ix_person_roles_role", "community_id", "role"),
    )
    community_id: int = Field(primary_key=True)
    person_id: UUID = Field(primary_key=True)
    role: str = word(primary_key=True)
    small_grid: int | None = Field(default=None)


class Organisation(BankTable, table=True):
    """A member organisation of the community (共建单位)."""

    __tablename__ = "organisations"
    __table_args__ = (in_community(), UniqueConstraint("community_id", "name"))
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    name: str = word(100)


class AccessToken(BankTable, table=True):
    """The SHA-256 of a token; the token itself is known to its holder only."""

    __tablename__ = "access_tokens"
    __table_args__ = (
        belongs_to("people", "person_id"),
        one_of("purpose", TokenPurpose),
        CheckConstraint("length(token_hash) = 32", name="hash"),
        Index("ix_access_tokens_person", "community_id", "person_id"),
    )
    community_id: int = Field(primary_key=True)
    token_hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    person_id: UUID
    purpose: str = word()
    created_at: datetime = moment()
    expires_at: datetime = moment()
    revoked_at: datetime | None = moment(nullable=True, default=None)
