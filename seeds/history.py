"""The past of a community's life, drawn from one seed: nothing here touches a database.

The past is cut into weeks. A week's visits come from volunteers' free hours, its redemptions from what
those volunteers have earned by then, so that nobody spends what they have not got.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from pointsbank.domain.asked_time import When
from pointsbank.domain.grid import GridDistance
from pointsbank.domain.pairing import Period
from pointsbank.domain.points import MILLI, Minutes
from pointsbank.domain.policy import DEFAULT_POLICY, EarnedSoFar, Policy, parse_policy
from pointsbank.domain.preferences import NO_PREFERENCES, Preferences
from pointsbank.domain.roles import Role
from seeds.asking import drawn_preferences, drawn_when
from seeds.geography import TIMEZONE
from seeds.residents import ELDER_FROM, Population, age_on
from seeds.scale import Scale

ZONE = ZoneInfo(TIMEZONE)

KIND_WEIGHTS = {
    "companionship": 34,
    "shopping": 18,
    "meal_delivery": 16,
    "clinic_escort": 9,
    "haircut": 6,
    "repair": 6,
    "cleaning": 8,
    "phone_learning": 9,
}
"""How often each kind of service is given; the kinds are those of the default policy."""

NEED_WEIGHTS = {"rest": 34, "water": 30, "cooling": 14, "warmth": 4, "meal": 16, "emergency": 2}
SUMMER = range(6, 10)
SUITED_SHARE = 0.8
REGULARS = (3, 7)
"""Fewest and most elders that one volunteer looks after."""


@dataclass(frozen=True, slots=True)
class VisitSeed:
    """A confirmed visit. People are indexes into the population; times are aware, whole minutes."""

    volunteer: int
    elder: int
    kind: str
    started_at: datetime
    ended_at: datetime
    confirmer: int


@dataclass(frozen=True, slots=True)
class RedemptionSeed:
    """Points spent. member: index into the population."""

    member: int
    partner: str
    item: str
    quantity: int
    at: datetime


@dataclass(frozen=True, slots=True)
class RequestSeed:
    """A help request that walks the chain. A proxy asks for an elder who cannot.

    starts_at: when the elder is surely free; when: how they say it.
    """

    elder: int
    kind: str
    starts_at: datetime
    minutes: int
    urgency: int
    asked_by_proxy: bool
    when: When
    preferences: Preferences = NO_PREFERENCES


@dataclass(frozen=True, slots=True)
class StationVisitSeed:
    """Somebody came in at the station; nobody asked who."""

    client_id: UUID
    need: str
    at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class WalkedVisit:
    """What came of a request that walked the chain. Whole minutes; people are indexes."""

    volunteer: int
    elder: int
    kind: str
    started_at: datetime
    ended_at: datetime
    confirmed: bool


@dataclass(slots=True)
class Week:
    """Seven days of the past, each list in order of time."""

    days: tuple[date, ...]
    visits: list[VisitSeed] = field(default_factory=list)
    redemptions: list[RedemptionSeed] = field(default_factory=list)


def default_policy(day: date) -> Policy:
    """Return the policy a community is founded with."""
    return parse_policy(1, day, DEFAULT_POLICY)


def local(day: date, minute: int) -> datetime:
    """Return a moment of a local day, ``minute`` minutes after its midnight."""
    return datetime.combine(day, time(), ZONE) + timedelta(minutes=minute)


def weeks_before(today: date, weeks: int) -> list[tuple[date, ...]]:
    """Return the days of the ``weeks`` weeks that end yesterday."""
    first_day = today - timedelta(weeks=weeks)
    return [
        tuple(first_day + timedelta(days=7 * week + number) for number in range(7)) for week in range(weeks)
    ]


class Past:
    """Draws week after week; remembers who has how many points.

    A week's requests are drawn first, since who is sent to them is the pairing engine's to decide; the
    week is then drawn around the visits that came of them. The same calls give the same past.
    """

    def __init__(self, people: Population, *, seed: int, today: date) -> None:
        self.people = people
        self.rng = random.Random(f"history:{seed}")
        self.asking = random.Random(f"asking:{seed}")
        self.policy = default_policy(today)
        self.volunteers = people.holders[Role.VOLUNTEER]
        self.coordinators = people.holders[Role.COORDINATOR]
        self.ages = [age_on(resident.born_on, today) for resident in people.residents]
        self.helped = self._helped()
        self.regulars = {volunteer: self._regulars(volunteer) for volunteer in self.volunteers}
        self.balances: dict[int, int] = defaultdict(int)
        # Each keeps a reserve that they do not spend: some save for a rainy day, some eat what they earn.
        self.reserves = {
            volunteer: self.rng.choice((0, 0, 2, 5, 12)) * MILLI for volunteer in self.volunteers
        }

    def _helped(self) -> list[int]:
        elders = [i for i in self.people.holders[Role.ELDER] if i not in set(self.volunteers)]
        share = {6: 0.15, 7: 0.45, 8: 0.85, 9: 0.95}
        return [i for i in elders if self.rng.random() < share[self.ages[i] // 10]] or elders

    def _regulars(self, volunteer: int) -> list[int]:
        """Choose the elders a volunteer looks after, by preference in the same small grid."""
        home, plan = self.people.small_grid(volunteer), self.people.ground.grids
        near: dict[GridDistance, list[int]] = defaultdict(list)
        for elder in self.helped:
            near[plan.distance(home, self.people.small_grid(elder))].append(elder)
        wanted = self.rng.randint(*REGULARS)
        chosen: list[int] = []
        for distance, share in (
            (GridDistance.SAME_SMALL, 0.7),
            (GridDistance.SAME_BIG, 0.8),
            (GridDistance.NEIGHBOUR, 1.0),
        ):
            room = max(0, round(wanted * share) - len(chosen))
            chosen += self.rng.sample(near[distance], min(room, len(near[distance])))
        return chosen or self.rng.sample(self.helped, 1)

    def week(self, days: Sequence[date], walked: Sequence[WalkedVisit] = ()) -> Week:
        """Draw a week around the visits that its requests led to."""
        week = Week(tuple(days))
        seen = {(visit.elder, visit.started_at.astimezone(ZONE).date()) for visit in walked}
        promised = defaultdict(list)
        for visit in walked:
            promised[visit.volunteer].append(Period(visit.started_at, visit.ended_at))
        for day in days:
            # What is earned today is spent tomorrow: a visit is confirmed after lunch as often as before.
            week.redemptions += sorted(self._redemptions(day), key=lambda r: (r.at, r.member))
            visits = sorted(self._visits(day, seen, promised), key=lambda v: (v.started_at, v.volunteer))
            for drawn in visits:
                self._earn(drawn.volunteer, drawn.kind, Period(drawn.started_at, drawn.ended_at))
            week.visits += visits
        # Counted last, and so not spent within the week: an elder may confirm days after the visit.
        for visit in walked:
            if visit.confirmed:
                self._earn(visit.volunteer, visit.kind, Period(visit.started_at, visit.ended_at))
        return week

    def _earn(self, volunteer: int, kind: str, period: Period) -> None:
        minutes = Minutes((period.end - period.start) // timedelta(minutes=1))
        self.balances[volunteer] += self.policy.earning(kind, minutes, EarnedSoFar()).milli_points

    def _visits(
        self, day: date, seen: set[tuple[int, date]], promised: Mapping[int, Sequence[Period]]
    ) -> Iterator[VisitSeed]:
        for volunteer in self.volunteers:
            resident = self.people.residents[volunteer]
            for stretch in resident.free:
                if stretch.weekday != day.weekday() or self.rng.random() > resident.zeal:
                    continue
                minute = stretch.from_minute + self.rng.randrange(0, 25)
                for elder in self.rng.sample(self.regulars[volunteer], min(2, len(self.regulars[volunteer]))):
                    kind, minutes = self._service(resident.skills)
                    period = Period(local(day, minute), local(day, minute + minutes))
                    if (elder, day) in seen or minute + minutes > stretch.to_minute:
                        continue
                    if any(period.overlaps(other) for other in promised.get(volunteer, ())):
                        continue
                    seen.add((elder, day))
                    confirmer = self._confirmer(volunteer, elder)
                    yield VisitSeed(volunteer, elder, kind, period.start, period.end, confirmer)
                    minute += minutes + self.rng.randrange(5, 20)

    def _service(self, skills: frozenset[str]) -> tuple[str, int]:
        """Choose a kind the volunteer can do and how many minutes it takes this time."""
        kinds = [kind for kind in KIND_WEIGHTS if (self.policy.kind(kind).skill or "") in {"", *skills}]
        (kind,) = self.rng.choices(kinds, weights=[KIND_WEIGHTS[kind] for kind in kinds])
        return kind, round(self.policy.kind(kind).expected_minutes * self.rng.triangular(0.7, 1.4, 1.0))

    def _confirmer(self, volunteer: int, elder: int) -> int:
        leader = self.people.building_leader.get(self.people.residents[elder].building, elder)
        coordinator = self.rng.choice(self.coordinators)
        (confirmer,) = self.rng.choices((elder, leader, coordinator), weights=(60, 24, 16))
        return elder if confirmer == volunteer else confirmer

    def _redemptions(self, day: date) -> Iterator[RedemptionSeed]:
        for member in self.volunteers:
            spare = self.balances[member] - self.reserves[member]
            chance = self.rng.random()
            elder = self.people.residents[member].canteen_eligible
            if elder and day.weekday() < 6 and chance < 0.45:
                bought = self._meal(member, day)
            elif chance > (0.99 if elder else 0.975):
                bought = self._pack(member, day)
            else:
                continue
            price = self.policy.item(bought.partner, bought.item).milli_points * bought.quantity
            if price <= spare:
                self.balances[member] -= price
                yield bought

    def _meal(self, member: int, day: date) -> RedemptionSeed:
        soft = self.ages[member] >= ELDER_FROM + 10
        items, weights = ("lunch_set", "soft_lunch", "dinner_set"), (30, 50, 20) if soft else (72, 3, 25)
        (item,) = self.rng.choices(items, weights=weights)
        minute = 17 * 60 + 15 if item == "dinner_set" else 11 * 60 + 10
        return RedemptionSeed(member, "canteen", item, 1, local(day, minute + self.rng.randrange(80)))

    def _pack(self, member: int, day: date) -> RedemptionSeed:
        hot = day.month in SUMMER and self.rng.random() < 0.7
        quantity = 2 if self.rng.random() < 0.12 else 1
        minute = self.rng.randrange(8 * 60, 20 * 60)
        item = "cooling_pack" if hot else "water_rest_pack"
        return RedemptionSeed(member, "station", item, quantity, local(day, minute))

    def wealthiest(self, count: int) -> list[int]:
        """Return the ``count`` eligible members who have the most points, the richest first."""
        eligible = [each for each in self.volunteers if self.people.residents[each].canteen_eligible]
        return sorted(eligible, key=lambda each: (-self.balances[each], each))[:count]

    def requests(self, days: Sequence[date], count: int, *, in_slots: bool = False) -> list[RequestSeed]:
        """Draw ``count`` help requests at most for some of ``days``, in order of time, one an elder.

        Most ask for an hour in which they know a neighbour to be free; some for any hour at all. in_slots:
        some only name the part of the day.
        """
        drawn: dict[int, RequestSeed] = {}
        for _ in range(count):
            suited = self.rng.random() < SUITED_SHARE
            elder, kind, starts_at = self._suited(days) if suited else self._any(days)
            drawn.setdefault(elder, self._request(elder, kind, starts_at, in_slots=in_slots))
        return sorted(drawn.values(), key=lambda request: (request.starts_at, request.elder))

    def requests_at(self, starts_at: datetime, count: int) -> list[RequestSeed]:
        """Draw requests for one moment, ``count`` at most, where volunteers are free at that hour."""
        at = starts_at.astimezone(ZONE)
        minute = at.hour * 60 + at.minute
        kind = self.policy.kind("companionship")
        free = [
            volunteer
            for volunteer in self.volunteers
            for stretch in self.people.residents[volunteer].free
            if stretch.weekday == at.weekday()
            and stretch.from_minute <= minute <= stretch.to_minute - kind.expected_minutes
        ]
        chosen = self.rng.sample(free, min(count, len(free)))
        elders = dict.fromkeys(self.rng.choice(self.regulars[volunteer]) for volunteer in chosen)
        return [self._request(elder, kind.code, at, at_once=True) for elder in elders]

    def _request(
        self, elder: int, kind: str, starts_at: datetime, *, at_once: bool = False, in_slots: bool = False
    ) -> RequestSeed:
        minutes = self.policy.kind(kind).expected_minutes
        return RequestSeed(
            elder=elder,
            kind=kind,
            starts_at=starts_at,
            minutes=minutes,
            urgency=self.rng.choices((0, 1, 2, 3), weights=(60, 25, 12, 3))[0],
            asked_by_proxy=self.people.residents[elder].phone is None,
            when=starts_at if at_once else drawn_when(self.asking, starts_at, minutes, in_slots=in_slots),
            preferences=NO_PREFERENCES if at_once else drawn_preferences(self.asking),
        )

    def _suited(self, days: Sequence[date]) -> tuple[int, str, datetime]:
        weekdays = {day.weekday(): day for day in days}
        volunteer, stretch = self.rng.choice(
            [
                (volunteer, stretch)
                for volunteer in self.volunteers
                for stretch in self.people.residents[volunteer].free
                if stretch.weekday in weekdays
            ]
        )
        kind, _ = self._service(self.people.residents[volunteer].skills)
        slack = stretch.to_minute - stretch.from_minute - self.policy.kind(kind).expected_minutes
        minute = stretch.from_minute + 15 * self.rng.randint(0, max(0, slack // 15))
        elder = self.rng.choice(self.regulars[volunteer])
        return elder, kind, local(weekdays[stretch.weekday], minute)

    def _any(self, days: Sequence[date]) -> tuple[int, str, datetime]:
        (kind,) = self.rng.choices(list(KIND_WEIGHTS), weights=list(KIND_WEIGHTS.values()))
        moment = local(self.rng.choice(days), 30 * self.rng.randint(15, 40))
        return self.rng.choice(self.helped), kind, moment


def station_visits(scale: Scale, *, seed: int, today: date) -> list[StationVisitSeed]:
    """Return who was counted at the station in the past, in order of time: open 24 hours, busiest by day."""
    rng = random.Random(f"station:{seed}")
    hours = [1] * 6 + [3, 5, 7, 9, 11, 14, 15, 13, 12, 12, 11, 9, 8, 6, 5, 4, 3, 2]
    drawn, left = [], scale.station_visits
    while left:
        day = today - timedelta(days=rng.randint(1, 7 * scale.weeks))
        (hour,) = rng.choices(range(24), weights=hours)
        weights = dict(NEED_WEIGHTS)
        if day.month not in SUMMER:
            weights["cooling"], weights["warmth"] = weights["warmth"], weights["cooling"]
        (need,) = rng.choices(list(weights), weights=list(weights.values()))
        count = min(left, 2 if rng.random() < 0.15 else 1)
        at = local(day, hour * 60 + rng.randrange(60))
        drawn.append(StationVisitSeed(UUID(int=rng.getrandbits(128), version=4), need, at, count))
        left -= count
    return sorted(drawn, key=lambda visit: (visit.at, visit.client_id))
