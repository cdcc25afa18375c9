"""Why a pairing run decided as it did, in sentences a coordinator can read out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from api.web.words import Words, catalogues
from pointsbank.domain.grid import GridDistance
from pointsbank.domain.pairing.instance import Instance, Request, Volunteer
from pointsbank.domain.pairing.plan import Alternative, Change, Plan, PlannedVisit, Smallest, Unpaired
from pointsbank.domain.pairing.value import DAY, Term, metres_between
from pointsbank.domain.resident import Gender

MYRIAD = 10_000
"""How near a plan is to its bound is told in hundredths of a percent."""

NAMELESS = "—"


@dataclass(frozen=True, slots=True)
class Paired:
    """One visit of the plan in words.

    heading: for whom, what and when; volunteer: who goes; reasons: why they; next_best: who else could have,
    and what they do instead; terms: what the pair's worth is made of, by name.
    """

    heading: str
    volunteer: str
    reasons: str
    next_best: str
    worth: int
    terms: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class NotPaired:
    """One request left over. away: what kept how many from it; change: the smallest that would help."""

    heading: str
    away: str
    change: str


@dataclass(frozen=True, slots=True)
class Told:
    """A run in words.

    near: at least how much of the best possible it reaches, in percent with two digits. ways: how its parts
    came about, each with how many did.
    """

    paired: tuple[Paired, ...]
    unpaired: tuple[NotPaired, ...]
    volunteers: int
    worth: int
    bound: int
    near: str
    ways: tuple[str, ...]
    kept: int
    moved: int


def tell(words: Words, instance: Instance, plan: Plan, names: Mapping[str, str]) -> Told:
    """Return a plan in words, soonest visit first. names: by id; who has none is told by a dash."""
    told = _Teller(words, instance, names)
    visits = sorted(plan.visits, key=lambda visit: (visit.start, visit.request, visit.volunteer))
    unpaired = sorted(plan.unpaired, key=lambda each: (told.request(each.request).preferred, each.request))
    ways = Counter(part.how for part in plan.parts)
    return Told(
        paired=tuple(told.paired(visit) for visit in visits),
        unpaired=tuple(told.unpaired(each) for each in unpaired),
        volunteers=len({visit.volunteer for visit in plan.visits}),
        worth=plan.worth,
        bound=plan.bound,
        near=nearness(plan.worth, plan.bound),
        ways=tuple(
            words.t(f"pairing.how.{how}", count=count) for how, count in sorted(ways.items(), key=_most)
        ),
        kept=plan.kept,
        moved=plan.moved,
    )


def nearness(worth: int, bound: int) -> str:
    """Return how near a plan is to what no plan can pass, in percent with two digits, rounded down."""
    reached = MYRIAD * worth // bound if bound else MYRIAD
    return f"{reached // 100}.{reached % 100:02}"


def kind_name(words: Words, code: str) -> str:
    """Return what a kind is called; one that a policy added and no catalogue knows keeps its code."""
    key = f"kind.{code}"
    return words.t(key) if catalogues.has(words.locale, key) else code


def _most(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


class _Teller:
    """Says one visit or one request at a time."""

    def __init__(self, words: Words, instance: Instance, names: Mapping[str, str]) -> None:
        self._words = words
        self._instance = instance
        self._names = names
        self._origin = datetime.fromisoformat(instance.origin)
        self._requests = {request.id: request for request in instance.requests}
        self._volunteers = {volunteer.id: volunteer for volunteer in instance.volunteers}

    def request(self, request_id: str) -> Request:
        return self._requests[request_id]

    def paired(self, visit: PlannedVisit) -> Paired:
        request, volunteer = self._requests[visit.request], self._volunteers[visit.volunteer]
        return Paired(
            heading=self._heading(request, visit.start),
            volunteer=self._name(volunteer.id),
            reasons=self._list(self._reasons(request, volunteer, visit)),
            next_best=self._next_best(visit.alternative),
            worth=visit.value,
            terms=tuple(
                (self._words.t(f"pairing.term.{term}"), points) for term, points in visit.terms.items()
            ),
        )

    def unpaired(self, each: Unpaired) -> NotPaired:
        request = self._requests[each.request]
        away = [
            self._words.t(f"pairing.away.{reason}", count=count) for reason, count in each.blocked.items()
        ]
        if each.needed_elsewhere:
            away.append(self._words.t("pairing.needed_elsewhere", count=each.needed_elsewhere))
        return NotPaired(
            heading=self._heading(request, request.preferred),
            away=self._list(away),
            change=self._change(each.change),
        )

    def _heading(self, request: Request, start: int) -> str:
        """Return for whom, what and when: "Mrs Li · Shopping · Wed 4 Mar 09:30"; a slot with its end."""
        begins = self._at(start)
        when = f"{self._words.day(begins)} {self._words.clock(begins)}"
        if request.blocks > request.minutes:
            when += f"–{self._words.clock(self._at(start + request.blocks))}"
        return f"{self._name(request.elder)} · {kind_name(self._words, request.kind)} · {when}"

    def _reasons(self, request: Request, volunteer: Volunteer, visit: PlannedVisit) -> list[str]:
        """Return what speaks for the pair, the nearest to the elder's own wishes last."""
        t, terms = self._words.t, visit.terms
        said = [self._near(request, volunteer)]
        before = request.known.get(volunteer.id, 0)
        if before:
            said.append(t("pairing.been_there", count=before))
        if Term.SAME_CARER in terms:
            said.append(t("pairing.same_carer"))
        if Term.LANGUAGE in terms:
            said.append(t("pairing.speaks", language=self._language(request.language or "")))
        if Term.GENDER in terms and request.gender in (Gender.FEMALE, Gender.MALE):
            said.append(t(f"pairing.gender.{request.gender}"))
        if Term.NEWCOMER in terms:
            said.append(t("pairing.newcomer"))
        if Term.KEEP in terms:
            said.append(t("pairing.kept"))
        if request.waited >= DAY:
            said.append(t("pairing.waited", count=request.waited // DAY))
        if visit.start != request.preferred:
            later = visit.start > request.preferred
            length = self._words.length(abs(visit.start - request.preferred))
            said.append(t("pairing.later" if later else "pairing.earlier", length=length))
        return said

    def _near(self, request: Request, volunteer: Volunteer) -> str:
        distance: GridDistance = self._instance.distance(volunteer.home, request.spot)
        near = self._words.t(f"pairing.near.{distance.name.lower()}")
        metres = metres_between(volunteer.home, request.spot)
        if metres is None:
            return near
        return self._words.t("pairing.near_metres", near=near, metres=self._words.whole(metres))

    def _language(self, code: str) -> str:
        key = f"spoken.{code}"
        return self._words.t(key) if catalogues.has(self._words.locale, key) else code

    def _next_best(self, other: Alternative | None) -> str:
        if other is None:
            return self._words.t("pairing.nobody_else")
        name = self._name(other.volunteer)
        if other.busy_with is None:
            return self._words.t("pairing.next_best", name=name)
        elder = self._name(self._requests[other.busy_with].elder)
        return self._words.t("pairing.next_best_busy", name=name, elder=elder)

    def _change(self, change: Change) -> str:
        kind: str = change.kind
        if change.kind is Smallest.OTHER_TIME:
            kind = "later" if change.minutes > 0 else "earlier"
        length = self._words.length(abs(change.minutes))
        return self._words.t(f"pairing.change.{kind}", length=length, count=change.volunteers)

    def _list(self, said: list[str]) -> str:
        return self._words.t("pairing.comma").join(said)

    def _at(self, minute: int) -> datetime:
        return self._origin + timedelta(minutes=minute)

    def _name(self, person: str) -> str:
        return self._names.get(person, NAMELESS)
