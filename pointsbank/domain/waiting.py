"""The waiting clock: how long a request may wait before the grid leader, then the coordinator, is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from pointsbank.domain import points
from pointsbank.domain.errors import InvalidValue

URGENCY_MAX = 3
"""Urgency goes from 0 (can wait) to 3 (today)."""

WAIT_MINUTES_MAX = 31 * 24 * 60
WAITING_FIELDS = frozenset({"grid_leader_minutes", "coordinator_minutes", "ahead_minutes"})


class Escalation(IntEnum):
    """Who has been told that a request waits too long. It only rises."""

    NONE = 0
    GRID_LEADER = 1
    COORDINATOR = 2


@dataclass(frozen=True, slots=True)
class WaitingRules:
    """Minutes that a request may wait, by urgency 0 to 3, until the leader and the coordinator are told.

    ahead_minutes: the clock of a request for a day further off than this begins only so long before it.
    """

    grid_leader_minutes: tuple[int, ...] = (24 * 60, 8 * 60, 2 * 60, 30)
    coordinator_minutes: tuple[int, ...] = (48 * 60, 24 * 60, 6 * 60, 60)
    ahead_minutes: int = 3 * 24 * 60

    @property
    def shortest(self) -> timedelta:
        """What no request that is escalated has waited less than."""
        return timedelta(minutes=min(self.grid_leader_minutes))


WAITING_SECTION: dict[str, Any] = {
    "grid_leader_minutes": list(WaitingRules().grid_leader_minutes),
    "coordinator_minutes": list(WaitingRules().coordinator_minutes),
    "ahead_minutes": WaitingRules().ahead_minutes,
}
"""The default as a policy document says it."""


def waiting_since(asked_at: datetime, earliest_start: datetime, rules: WaitingRules) -> datetime:
    """Return when a request's clock begins: when it was asked or, for a far day, some time before it."""
    return max(asked_at, earliest_start - timedelta(minutes=rules.ahead_minutes))


def escalation_due(asked_at: datetime, urgency: int, now: datetime, rules: WaitingRules) -> Escalation:
    """Return who should know by ``now`` of a request that has waited since ``asked_at``. urgency: 0 to 3."""
    waited = now - asked_at
    if waited >= timedelta(minutes=rules.coordinator_minutes[urgency]):
        return Escalation.COORDINATOR
    if waited >= timedelta(minutes=rules.grid_leader_minutes[urgency]):
        return Escalation.GRID_LEADER
    return Escalation.NONE


def parse_waiting(body: Mapping[str, Any]) -> WaitingRules:
    """Return the waiting rules a policy document says; the default when it does not mention them.

    Raises InvalidValue naming the field that is wrong, missing or not known.
    """
    told = body.get("waiting", WAITING_SECTION)
    if not isinstance(told, Mapping):
        raise InvalidValue(field="waiting", rule="object")
    for name in told:
        if name not in WAITING_FIELDS:
            raise InvalidValue(field=f"waiting.{name}", rule="unknown_field")
    leader = _by_urgency(told, "grid_leader_minutes")
    coordinator = _by_urgency(told, "coordinator_minutes")
    if any(later <= sooner for sooner, later in zip(leader, coordinator, strict=True)):
        raise InvalidValue(field="waiting.coordinator_minutes", rule="after_the_grid_leader")
    return WaitingRules(leader, coordinator, _minutes(told.get("ahead_minutes"), "ahead_minutes"))


def _by_urgency(told: Mapping[str, Any], name: str) -> tuple[int, ...]:
    listed = told.get(name)
    if not isinstance(listed, list) or len(listed) != URGENCY_MAX + 1:
        raise InvalidValue(field=f"waiting.{name}", rule="one_for_each_urgency")
    return tuple(_minutes(each, name) for each in listed)


def _minutes(told: object, name: str) -> int:
    minutes = points.whole(told, field=f"waiting.{name}")
    if not 1 <= minutes <= WAIT_MINUTES_MAX:
        raise InvalidValue(field=f"waiting.{name}", rule=f"between_1_and_{WAIT_MINUTES_MAX}")
    return minutes
