"""How it is known that a volunteer was at the door, and how much that is worth.

A rotating code is read off the elder's own page, so it proves presence in that minute; a card can be
photographed; a call-back and a witness are people's words. Without any of them only the volunteer's own word
stands, and audit looks at such a visit more often.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pointsbank.domain.errors import DomainError


class AttendanceMethod(StrEnum):
    """How a check-in or a check-out was made."""

    CODE = "code"  # six digits that change
    CARD = "card"  # the printed card at the door, scanned
    CALL_BACK = "call_back"  # a coordinator on the telephone
    WITNESS = "witness"  # a building or grid leader
    PLAIN = "plain"  # the volunteer's own word


ATTENDANCE_STRENGTH: dict[AttendanceMethod, int] = {
    AttendanceMethod.CODE: 4,
    AttendanceMethod.CARD: 3,
    AttendanceMethod.CALL_BACK: 3,
    AttendanceMethod.WITNESS: 2,
    AttendanceMethod.PLAIN: 1,
}

PROOFS = frozenset({AttendanceMethod.CODE, AttendanceMethod.CARD})
"""Methods that bring something to be checked."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a volunteer brings from the door. method: one of ``PROOFS``; secret: the digits, or the card's."""

    method: AttendanceMethod
    secret: str

    def __repr__(self) -> str:
        return f"Proof({self.method})"  # never the secret: it may reach a log


@dataclass(eq=False)
class WrongProof(DomainError):
    """The code or card is not this elder's, too old, or was used before: which, nobody is told."""

    code = "wrong_proof"


@dataclass(eq=False)
class TooManyAttempts(DomainError):
    """Too many codes were tried. minutes: after how long again."""

    code = "too_many_attempts"
    minutes: int


def evidence(confirmation: int, attendance: Iterable[AttendanceMethod | None]) -> int:
    """Return what audit samples a confirmed visit by: 1 (weak) to 4.

    confirmation: its strength. attendance: how it was checked in and out; None where it was not (a record).
    Where only the volunteer's own word says that they were there, the confirmation is worth one less.
    """
    plain = AttendanceMethod.PLAIN in set(attendance)
    return max(1, confirmation - plain)
