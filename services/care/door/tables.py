"""Secrets behind the codes at the door, and which codes were used and tried."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary
from sqlmodel import Field

from pointsbank.platform.tables import BankTable, belongs_to, moment


class DoorSecret(BankTable, table=True):
    """What an elder's codes are made of, and the SHA-256 of their printed card. Never told, never logged."""

    __tablename__ = "door_secrets"
    __table_args__ = (
        belongs_to("people", "elder_id"),
        CheckConstraint("length(secret) >= 20", name="secret"),
        CheckConstraint("length(card_hash) = 32", name="card"),
    )
    community_id: int = Field(primary_key=True)
    elder_id: UUID = Field(primary_key=True)
    secret: bytes = Field(sa_type=LargeBinary)
    card_hash: bytes | None = Field(default=None, sa_type=LargeBinary, nullable=True)
    created_at: datetime = moment()
    card_issued_at: datetime | None = moment(nullable=True, default=None)


class UsedCode(BankTable, table=True):
    """A code that was accepted: its key lets it be so once (RFC 6238 §5.2). step: the time step it stood
    in."""

    __tablename__ = "used_door_codes"
    __table_args__ = (
        belongs_to("door_secrets", "elder_id", key=("elder_id",)),
        belongs_to("visits", "visit_id"),
        Index("ix_used_door_codes_used", "community_id", "used_at"),
    )
    community_id: int = Field(primary_key=True)
    elder_id: UUID = Field(primary_key=True)
    step: int = Field(primary_key=True, sa_type=BigInteger)
    visit_id: UUID
    used_at: datetime = moment()


class CodeAttempt(BankTable, table=True):
    """A code that was tried, right or wrong; counted before it is looked at."""

    __tablename__ = "door_code_attempts"
    __table_args__ = (
        belongs_to("visits", "visit_id"),
        Index("ix_door_code_attempts_visit", "community_id", "visit_id", "tried_at"),
        Index("ix_door_code_attempts_tried", "community_id", "tried_at"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    visit_id: UUID
    tried_at: datetime = moment()
