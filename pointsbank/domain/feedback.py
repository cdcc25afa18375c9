"""What the two sides of a visit say of each other; "not again" from either keeps them apart from then on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pointsbank.domain.errors import InvalidValue

RATING_MAX = 5
FEEDBACK_NOTE_MAX = 500


class Side(StrEnum):
    """Who speaks."""

    ELDER = "elder"  # or their family
    VOLUNTEER = "volunteer"


class Again(StrEnum):
    """Whether the same two should meet again."""

    YES = "yes"
    NO = "no"
    NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class PairHistory:
    """What an elder and a volunteer have had with each other.

    visits: those that took place; last_at: when the latest ended. again_elder, again_volunteer: the latest
    answer of each; None: none was given.
    """

    visits: int
    last_at: datetime | None
    again_elder: bool | None
    again_volunteer: bool | None


def require_changeable(given_at: datetime, *, now: datetime, days: int) -> None:
    """Check that feedback given at ``given_at`` may still be changed. Raises InvalidValue."""
    if now > given_at + timedelta(days=days):
        raise InvalidValue(field="feedback", rule=f"within_{days}_days")
