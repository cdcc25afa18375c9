"""Why: what each pair is worth by term and who else could have come; what kept every other request unpaired.

Asks the domain's rules one pair at a time, of the few pairs that matter: an unpaired request and who serves
its grid.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from pointsbank.domain.pairing.instance import Cap, Instance, Request, Stretch, Volunteer
from pointsbank.domain.pairing.plan import Alternative, Change, PlannedVisit, Smallest, Unpaired
from pointsbank.domain.pairing.rules import Blocked, blocked, blocked_at, blocked_person, collide
from pointsbank.domain.pairing.value import terms
from services.matching.engine.arrays import Ints
from services.matching.engine.columns import Columns

SHIFT_STEP = 15
SHIFT_MAX = 180
"""How far a visit is tried earlier and later, in minutes, when asking what would pair a request."""

Doing = tuple[Request, int]
"""A request and the start at which a volunteer visits it."""


class Reasons:
    """The reasons of one plan. plan: chosen columns, ascending."""

    def __init__(self, instance: Instance, columns: Columns, plan: Ints) -> None:
        self._instance = instance
        self._columns = columns
        self._plan = plan
        self._borders = np.searchsorted(columns.request, np.arange(len(instance.requests) + 1)).tolist()
        self._doing: dict[int, list[Doing]] = defaultdict(list)
        for column in plan.tolist():
            request = instance.requests[int(columns.request[column])]
            self._doing[int(columns.volunteer[column])].append((request, int(columns.start[column])))
        self._serving: dict[int, list[int]] = defaultdict(list)
        for at, volunteer in enumerate(instance.volunteers):
            for grid in volunteer.grids:
                self._serving[grid].append(at)

    def visits(self) -> tuple[PlannedVisit, ...]:
        """Return the plan's visits with their terms and alternatives."""
        return tuple(self._visit(column) for column in self._plan.tolist())

    def unpaired(self) -> tuple[Unpaired, ...]:
        """Return the requests that nobody is sent to, with what kept everybody away."""
        served = set(self._columns.request[self._plan].tolist())
        return tuple(
            self._unpaired(request) for at, request in enumerate(self._instance.requests) if at not in served
        )

    def _visit(self, column: int) -> PlannedVisit:
        at, who = int(self._columns.request[column]), int(self._columns.volunteer[column])
        start, value = int(self._columns.start[column]), int(self._columns.value[column])
        request, volunteer = self._instance.requests[at], self._instance.volunteers[who]
        return PlannedVisit(
            request=request.id,
            volunteer=volunteer.id,
            start=start,
            value=value,
            terms=terms(self._instance, request, volunteer, start),
            alternative=self._alternative(at),
        )

    def _alternative(self, at: int) -> Alternative | None:
        low, high = self._borders[at], self._borders[at + 1]
        coming = [
            int(self._columns.volunteer[column])
            for column in self._plan[np.searchsorted(self._plan, low) : np.searchsorted(self._plan, high)]
        ]
        others = ~np.isin(self._columns.volunteer[low:high], coming)
        if not others.any():
            return None
        column = low + int(np.argmax(np.where(others, self._columns.value[low:high], -1)))
        who, start = int(self._columns.volunteer[column]), int(self._columns.start[column])
        return Alternative(
            volunteer=self._instance.volunteers[who].id,
            start=start,
            value=int(self._columns.value[column]),
            busy_with=self._busy_with(who, self._instance.requests[at], start),
        )

    def _busy_with(self, who: int, request: Request, start: int) -> str | None:
        """Return the planned visit that keeps a volunteer from another, or None."""
        for other, begin in self._doing[who]:
            if collide(
                self._instance,
                (start, request.minutes, request.blocks, request.spot),
                (begin, other.minutes, other.blocks, other.spot),
            ):
                return other.id
        return None

    def _unpaired(self, request: Request) -> Unpaired:
        serving = self._serving[request.spot.grid]
        counts: Counter[Blocked] = Counter()
        elsewhere = 0
        for at in serving:
            reason = blocked(self._instance, request, self._instance.volunteers[at])
            if reason is None:
                elsewhere += 1
            else:
                counts[reason] += 1
        counts[Blocked.TOO_FAR] += len(self._instance.volunteers) - len(serving)
        return Unpaired(
            request=request.id,
            blocked={reason: counts[reason] for reason in Blocked if counts[reason]},
            needed_elsewhere=elsewhere,
            change=self._smallest(request, serving),
        )

    def _smallest(self, request: Request, serving: Sequence[int]) -> Change:
        """Return the smallest change that would pair a request, everything else staying as planned."""
        fit = [at for at in serving if blocked_person(request, self._instance.volunteers[at]) is None]
        for tried in (self._other_time, self._more_minutes, self._longer_free):
            change = tried(request, fit)
            if change is not None:
                return change
        untaught = [
            at
            for at in serving
            if blocked_person(request, self._instance.volunteers[at]) is Blocked.NO_SKILL
            and self._could(_unskilled(request), at, request.starts)
        ]
        if len(untaught) >= request.carers:
            return Change(Smallest.SKILL, volunteers=len(untaught))
        near = set(serving)
        far = [
            at
            for at in range(len(self._instance.volunteers))
            if at not in near and self._could(request, at, request.starts, anywhere=True)
        ]
        if len(far) >= request.carers:
            return Change(Smallest.FARTHER, volunteers=len(far))
        return Change(Smallest.MORE_VOLUNTEERS, volunteers=request.carers)

    def _other_time(self, request: Request, fit: Sequence[int]) -> Change | None:
        first, last = request.starts[0], request.starts[-1]
        for shift in range(SHIFT_STEP, SHIFT_MAX + 1, SHIFT_STEP):
            for minutes, start in ((shift, last + shift), (-shift, first - shift)):
                if start <= self._instance.now:
                    continue
                able = sum(self._could(request, at, (start,)) for at in fit)
                if able >= request.carers:
                    return Change(Smallest.OTHER_TIME, minutes, able)
        return None

    def _more_minutes(self, request: Request, fit: Sequence[int]) -> Change | None:
        missing: list[int] = []
        for at in fit:
            uncapped = _uncapped(self._instance.volunteers[at])
            for start in request.starts:
                if self._could(request, at, (start,), volunteer=uncapped):
                    missing.append(self._above_caps(request, at, start))
                    break
        missing.sort()
        if len(missing) < request.carers:
            return None
        return Change(Smallest.MORE_MINUTES, missing[request.carers - 1], len(missing))

    def _longer_free(self, request: Request, fit: Sequence[int]) -> Change | None:
        missing: list[int] = []
        for at in fit:
            volunteer = self._instance.volunteers[at]
            by_start = [
                (_missing(volunteer.free, start, start + request.blocks), start) for start in request.starts
            ]
            for minutes, start in sorted(pair for pair in by_start if 0 < pair[0] <= SHIFT_MAX):
                stretched = _free_at(volunteer, start, start + request.blocks)
                if self._could(request, at, (start,), volunteer=stretched):
                    missing.append(minutes)
                    break
        missing.sort()
        if len(missing) < request.carers:
            return None
        return Change(Smallest.LONGER_FREE, missing[request.carers - 1], len(missing))

    def _could(
        self,
        request: Request,
        at: int,
        starts: Iterable[int],
        *,
        volunteer: Volunteer | None = None,
        anywhere: bool = False,
    ) -> bool:
        """Tell whether a volunteer could come at one of ``starts`` beside what the plan has them do."""
        who = volunteer or self._instance.volunteers[at]
        reason = blocked_person(request, who)
        if reason is not None and not (anywhere and reason is Blocked.TOO_FAR):
            return False
        if anywhere and (not request.skills <= who.skills.keys() or _wrong_gender(request, who)):
            return False
        return any(
            blocked_at(self._instance, request, who, start) is None
            and self._busy_with(at, request, start) is None
            and self._within(request, who, at, start)
            for start in starts
        )

    def _within(self, request: Request, who: Volunteer, at: int, start: int) -> bool:
        return all(
            self._used(at, cap) + request.load <= cap.minutes
            for cap in who.caps
            if cap.start <= start < cap.end
        )

    def _above_caps(self, request: Request, at: int, start: int) -> int:
        """Return by how many minutes a visit would exceed the caps of a volunteer."""
        return max(
            (
                self._used(at, cap) + request.load - cap.minutes
                for cap in self._instance.volunteers[at].caps
                if cap.start <= start < cap.end
            ),
            default=0,
        )

    def _used(self, at: int, cap: Cap) -> int:
        return sum(other.load for other, begin in self._doing[at] if cap.start <= begin < cap.end)


def _unskilled(request: Request) -> Request:
    return replace(request, skills=frozenset())


def _uncapped(volunteer: Volunteer) -> Volunteer:
    return replace(volunteer, caps=())


def _free_at(volunteer: Volunteer, start: int, end: int) -> Volunteer:
    return replace(volunteer, free=(Stretch(start, end),))


def _missing(free: Sequence[Stretch], start: int, end: int) -> int:
    """Return the fewest minutes by which one stretch would have to be longer to hold [start, end)."""
    return min((max(0, each.start - start) + max(0, end - each.end) for each in free), default=SHIFT_MAX + 1)


def _wrong_gender(request: Request, volunteer: Volunteer) -> bool:
    return request.gender_hard and request.gender != volunteer.gender
