"""How far a volunteer's word can be relied on, in permille: the mean worth of what they promised lately."""

from __future__ import annotations

from dataclasses import dataclass

from pointsbank.domain.visit_rules import VisitRules

NEWCOMER = 1_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A volunteer's promises in the time looked at. withdrawn: late, by the volunteer, and not excused.

    Withdrawn in good time, called off by the elder (however late), kept apart, or nobody at home: none of
    these.
    """

    in_time: int = 0
    late: int = 0
    no_show: int = 0
    withdrawn: int = 0


def reliability_of(kept: Kept, rules: VisitRules) -> int:
    """Return the reliability: 0 to 1000, rounded down; a newcomer's is 1000.

    ``rules.reliability_prior`` visits kept in time are counted with them, so that one bad day of somebody new
    does not weigh like a habit.
    """
    number = kept.in_time + kept.late + kept.no_show + kept.withdrawn
    if not number:
        return NEWCOMER
    worth = (
        rules.reliability_prior * 1_000
        + kept.in_time * rules.kept_permille
        + kept.late * rules.late_permille
        + kept.no_show * rules.no_show_permille
        + kept.withdrawn * rules.withdrawn_permille
    )
    return worth // (rules.reliability_prior + number)
