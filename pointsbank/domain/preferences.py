"""Whom an elder would like to come, and whom not; and who speaks for an elder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.language import is_language


@dataclass(eq=False)
class KeptApart(DomainError):
    """This volunteer is not sent to this elder: excluded, not again, or of one household."""

    code = "kept_apart"


class GenderWanted(StrEnum):
    """Who is wanted."""

    FEMALE = "female"
    MALE = "male"


class ExclusionReason(StrEnum):
    """Why a volunteer is not sent to an elder."""

    ASKED = "asked"
    """The elder would rather not say more."""

    NOT_AGAIN = "not_again"
    """Said in the feedback on a visit, by either side."""

    COMPLAINT = "complaint"
    COORDINATOR = "coordinator"
    """A coordinator's own judgement."""


class Relation(StrEnum):
    """What somebody is to an elder."""

    SPOUSE = "spouse"
    CHILD = "child"
    CHILD_IN_LAW = "child_in_law"
    GRANDCHILD = "grandchild"
    SIBLING = "sibling"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Preferences:
    """Whom the elder would like: preferences, but for a gender marked hard, which rules out all others.

    language_wanted: a code such as ``yue``. same_carer: rather who came before.
    """

    gender_wanted: GenderWanted | None = None
    gender_hard: bool = False
    language_wanted: str | None = None
    same_carer: bool = False


NO_PREFERENCES = Preferences()


def require_preferences(wanted: Preferences) -> None:
    """Check what is wanted. Raises InvalidValue naming ``gender_hard`` or ``language_wanted``."""
    if wanted.gender_hard and wanted.gender_wanted is None:
        raise InvalidValue(field="gender_hard", rule="with_a_gender")
    if wanted.language_wanted is not None and not is_language(wanted.language_wanted):
        raise InvalidValue(field="language_wanted", rule="language_code")
