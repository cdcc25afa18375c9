"""What volunteers say of themselves beside their hours: how much, where, what they can do and speak."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pointsbank.domain import points
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.grid import GridDistance, GridPlan
from pointsbank.domain.language import is_language

DAY_MINUTES_MAX = 24 * 60
WEEK_MINUTES_MAX = 7 * DAY_MINUTES_MAX
URGENT_OFFER_MINUTES_MAX = 24 * 60
RUN_INPUT_DAYS_MAX = 5 * 366
SKILL_LENGTH_MAX = 40
SKILLS_MAX = 20
PROOF_LENGTH_MAX = 200
LANGUAGES_MAX = 20


@dataclass(frozen=True, slots=True)
class VolunteerRules:
    """What a policy says of volunteers.

    day_minutes, week_minutes: the most anybody is asked to give in a local day and in a week from Monday.
    urgent_offer_minutes: how long an urgent request waits for one volunteer's answer. proven_skills: those
    that count only once somebody has verified their proof.

    run_input_days: how long the full input of a pairing run is kept, for it tells when everybody is free and
    where they live; twice the time by default in which a visit may be complained about and a finding appealed
    against (``visit_rules``), so that a disputed pairing can still be run again. What was decided, and why,
    stays.
    """

    day_minutes: int = 8 * 60
    week_minutes: int = 40 * 60
    urgent_offer_minutes: int = 30
    proven_skills: frozenset[str] = frozenset()
    run_input_days: int = 90

    def __post_init__(self) -> None:
        for name, most in (
            ("day_minutes", DAY_MINUTES_MAX),
            ("week_minutes", WEEK_MINUTES_MAX),
            ("urgent_offer_minutes", URGENT_OFFER_MINUTES_MAX),
            ("run_input_days", RUN_INPUT_DAYS_MAX),
        ):
            if not 1 <= getattr(self, name) <= most:
                raise InvalidValue(field=name, rule=f"between_1_and_{most}")


def parse_volunteer_rules(told: Mapping[str, Any]) -> VolunteerRules:
    """Return the rules a policy's section ``volunteers`` says; what it does not say is as by default.

    Raises InvalidValue naming the field that is wrong or not known.
    """
    values: dict[str, Any] = {}
    for name, value in told.items():
        if name in {"day_minutes", "week_minutes", "urgent_offer_minutes", "run_input_days"}:
            values[name] = points.whole(value, field=name)
        elif name == "proven_skills":
            if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                raise InvalidValue(field=name, rule="list_of_texts")
            require_skills(value)
            values[name] = frozenset(value)
        else:
            raise InvalidValue(field=f"volunteers.{name}", rule="unknown_field")
    return VolunteerRules(**values)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most minutes a volunteer gives in a local day and in a week from Monday; None: as the policy."""

    day_minutes: int | None = None
    week_minutes: int | None = None

    def __post_init__(self) -> None:
        for name, most in (("day_minutes", DAY_MINUTES_MAX), ("week_minutes", WEEK_MINUTES_MAX)):
            value = getattr(self, name)
            if value is None:
                continue
            if type(value) is not int or not 1 <= value <= most:
                raise InvalidValue(field=name, rule=f"between_1_and_{most}")

    def under(self, rules: VolunteerRules) -> tuple[int, int]:
        """Return the minutes a day and a week that count: a wish can only lower what the policy says."""
        return (
            min(self.day_minutes or rules.day_minutes, rules.day_minutes),
            min(self.week_minutes or rules.week_minutes, rules.week_minutes),
        )


@dataclass(frozen=True, slots=True)
class Skill:
    """Something a volunteer can do, with its proof.

    proof: what shows it, such as a certificate's name and number. verified_by, verified_at: who has seen the
    proof. valid_until: the last local day on which it holds; None: for ever.
    """

    code: str
    proof: str | None = None
    verified_by: UUID | None = None
    verified_at: datetime | None = None
    valid_until: date | None = None

    def counts(self, rules: VolunteerRules, day: date) -> bool:
        """Tell whether the skill may be relied upon on a local day."""
        if self.code in rules.proven_skills and self.verified_at is None:
            return False
        return self.valid_until is None or day <= self.valid_until


def require_skills(skills: Sequence[str]) -> None:
    """Check the names of what somebody can do. Raises InvalidValue naming ``skills``."""
    if len(skills) > SKILLS_MAX:
        raise InvalidValue(field="skills", rule=f"at_most_{SKILLS_MAX}")
    for skill in skills:
        if not skill.strip() or len(skill) > SKILL_LENGTH_MAX or "\0" in skill:
            raise InvalidValue(field="skills", rule=f"1_to_{SKILL_LENGTH_MAX}_characters")


def require_proof(proof: str) -> str:
    """Return a proof's text, trimmed. Raises InvalidValue naming ``proof``."""
    told = proof.strip()
    if not told or len(told) > PROOF_LENGTH_MAX or "\0" in told:
        raise InvalidValue(field="proof", rule=f"1_to_{PROOF_LENGTH_MAX}_characters")
    return told


def require_languages(languages: Collection[str]) -> None:
    """Check what somebody speaks. Raises InvalidValue naming ``languages``."""
    if len(languages) > LANGUAGES_MAX:
        raise InvalidValue(field="languages", rule=f"at_most_{LANGUAGES_MAX}")
    if not all(is_language(each) for each in languages):
        raise InvalidValue(field="languages", rule="language_code")


def grids_near(home: int, grids: GridPlan) -> frozenset[int]:
    """Return the small grids a volunteer serves who has named none, by the one they live in.

    All of the same big grid, and those that share a boundary with their own. Who would serve a grid lives in
    one of the same: nearness is symmetric.
    """
    return frozenset(each for each in grids.small_grids if grids.distance(home, each) is not GridDistance.FAR)
