"""A draft of what is asked for: read from an address or a form, told as an address again, made a command.

The parts of a draft that stand in an address are of the asking alone: never a name, a phone, an id or the
note. A time is said as a slot (``morning``), an hour (``10:00``) or a stretch (``09:00-12:00``): the elder is
at home in it, and the visit lies within it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from api.web.words import Words
from pointsbank.domain.asked_time import Slot, SlotHours, SlotOn, Timing, When, Window, asked_time
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.language import LANGUAGES
from pointsbank.domain.policy import Policy, ServiceKind
from pointsbank.domain.preferences import GenderWanted, Preferences
from pointsbank.domain.series import OnHolidays
from services.care.views import AskAgainAndAgain, AskForHelp, RequestInfo, SeriesInfo

ASK, DESK_ASK = "/elder/ask", "/coordinator/ask"
CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
WEEK = 7
NOON = 12 * 60
NUMBER_LENGTH_MAX = 4
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
"""Days of the week as RFC 5545 writes them, Monday first."""

WHO: Mapping[str, Preferences] = {
    "any": Preferences(),
    "rather_woman": Preferences(GenderWanted.FEMALE),
    "rather_man": Preferences(GenderWanted.MALE),
    "only_woman": Preferences(GenderWanted.FEMALE, gender_hard=True),
    "only_man": Preferences(GenderWanted.MALE, gender_hard=True),
}
"""Who should come, as a form says it."""

SOON: Mapping[str, int] = {"today": 3, "two_days": 2, "week": 1, "can_wait": 0}
"""How soon, as an elder says it, and the urgency that it is."""

DAYS_OFFERED: Mapping[str, int] = {"today": 1, "two_days": 2, "week": WEEK}
"""How many days can be chosen, from today, by how soon it must be."""

ENDS: Mapping[str, tuple[str, int]] = {
    "w4": ("weeks", 4),
    "w8": ("weeks", 8),
    "w12": ("weeks", 12),
    "w26": ("weeks", 26),
    "n5": ("times", 5),
    "n10": ("times", 10),
    "n20": ("times", 20),
}
"""When what comes again every week ends: the word of it, and the unit and number."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What has been said so far, as it was said. on: days of the week (``TU,FR``); empty: once only."""

    kind: str = ""
    soon: str = ""
    day: str = ""
    time: str = ""
    who: str = "any"
    language: str = ""
    same: str = ""
    on: str = ""
    ends: str = ""
    until: str = ""
    holidays: str = ""
    minutes: str = ""
    note: str = ""

    @property
    def weekdays(self) -> tuple[str, ...]:
        """The days of the week on which it comes again."""
        return tuple(each for each in self.on.split(",") if each in WEEKDAYS)

    @property
    def on_day(self) -> date:
        """The day that is named. Raises ValueError for a draft that names none."""
        return date.fromisoformat(self.day)

    @property
    def until_day(self) -> date | None:
        """The last day on which it may come again, if one is named."""
        return day_of(self.until, date.min)

    @property
    def said(self) -> dict[str, str]:
        """Return every part that says something, by name."""
        every = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in every.items() if value and value != "any"}

    def address(self, path: str = ASK, **changes: str) -> str:
        """Return the address of this draft with ``changes``; the note stays out of it."""
        parts = replace(self, **changes, note="").said
        return f"{path}?{urlencode(parts)}" if parts else path

    @property
    def preferences(self) -> Preferences:
        """Whom the elder would like."""
        who = WHO.get(self.who, Preferences())
        language = self.language if self.language in LANGUAGES else None
        return Preferences(who.gender_wanted, who.gender_hard, language, self.same == "1")

    def urgency(self, kind: ServiceKind, day: date, today: date) -> int:
        """Return how urgent it is; an appointment is as urgent as its day is near."""
        if self.soon in SOON:
            return SOON[self.soon]
        if kind.timing is Timing.FIXED:
            return {0: SOON["today"], 1: SOON["two_days"]}.get((day - today).days, 0)
        return 0

    def length(self, kind: ServiceKind) -> int:
        """Return how many minutes it should take: what the kind expects unless told; 0 for no number."""
        if not self.minutes:
            return kind.expected_minutes
        told = self.minutes.isascii() and self.minutes.isdigit() and len(self.minutes) <= NUMBER_LENGTH_MAX
        return int(self.minutes) if told else 0


def read_draft(parts: Mapping[str, str]) -> Draft:
    """Return the draft that an address or a form says; days of the week may be ticked one by one.

    ``time`` may be ``between`` (then ``from`` and ``to`` say it) or ``at`` (then ``at`` says it).
    """
    said = {each.name: parts[each.name] for each in fields(Draft) if parts.get(each.name)}
    if said.get("time") == "between":
        said["time"] = f"{parts.get('from', '')}-{parts.get('to', '')}"
    elif said.get("time") == "at":
        said["time"] = parts.get("at", "")
    ticked = [each for each in WEEKDAYS if parts.get(f"on_{each}")]
    return Draft(**(said | ({"on": ",".join(ticked)} if ticked else {})))


def day_of(text: str, today: date) -> date | None:
    """Return the day that ``text`` names; None for none, or one that is over."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day >= today else None


def when_of(text: str, day: date, minutes: int, words: Words) -> When | None:
    """Return when a visit of ``minutes`` may begin; None: the text says no time.

    A visit lies within the stretch that is told; one that is longer begins with it. Raises InvalidValue
    (``latest_start``) for a stretch that ends before it begins.
    """
    if text in list(Slot):
        return SlotOn(day, Slot(text))
    first, dash, last = text.partition("-")
    begins, ends = _moment(first, day, words), _moment(last, day, words)
    if begins is None or (dash and ends is None):
        return None
    if ends is None:
        return begins
    if ends <= begins:
        raise InvalidValue(field="latest_start", rule="not_before_the_earliest")
    return Window(begins, max(begins, ends - timedelta(minutes=minutes)))


def wide_windows(slots: Mapping[Slot, SlotHours]) -> dict[str, str]:
    """Return the widest stretches to choose from, by name: the day, and what lies before and after noon."""
    morning, afternoon = slots[Slot.MORNING].from_minute, slots[Slot.AFTERNOON].to_minute
    every = {"daytime": (morning, afternoon), "forenoon": (morning, NOON), "afternoon": (NOON, afternoon)}
    return {name: f"{clock(a)}-{clock(b)}" for name, (a, b) in every.items() if a < b}


def clock(minute: int) -> str:
    """Return what the clock shows ``minute`` minutes after midnight."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def one_off(
    draft: Draft, kind: ServiceKind, day: date, when: When, *, elder_id: UUID, today: date, meant: bool
) -> AskForHelp:
    """Return the command that asks once. meant: although something like it has been asked for."""
    return AskForHelp(
        elder_id=elder_id,
        kind=kind.code,
        starts_at=when,
        minutes=draft.length(kind),
        urgency=draft.urgency(kind, day, today),
        note=draft.note or None,
        preferences=draft.preferences,
        even_if_similar=meant,
    )


def weekly(draft: Draft, kind: ServiceKind, day: date, when: When, *, elder_id: UUID) -> AskAgainAndAgain:
    """Return the command that asks every week, from ``day`` on; what is asked so far ahead can wait.

    Raises InvalidValue (``rule``) if it does not say when it ends.
    """
    begins = datetime.combine(day, datetime.min.time())
    slot, window = None, 0
    if isinstance(when, SlotOn):
        slot = when.slot
    elif isinstance(when, Window):
        begins = when.earliest_start.replace(tzinfo=None)
        window = (when.latest_start - when.earliest_start) // timedelta(minutes=1)
    else:
        begins = when.replace(tzinfo=None)
    return AskAgainAndAgain(
        elder_id=elder_id,
        kind=kind.code,
        first_at=begins,
        rule=rule_of(draft, day),
        minutes=draft.length(kind),
        slot=slot,
        window_minutes=window,
        holidays=OnHolidays.KEEP if draft.holidays == OnHolidays.KEEP else OnHolidays.SKIP,
        note=draft.note or None,
        preferences=draft.preferences,
    )


def rule_of(draft: Draft, first: date) -> str:
    """Return the recurrence rule of a draft that begins on ``first``. Raises InvalidValue (``rule``)."""
    said = f"FREQ=WEEKLY;BYDAY={','.join(draft.weekdays)}"
    unit, number = ENDS.get(draft.ends, ("", 0))
    last = day_of(draft.until, first)
    if draft.until and last is None:
        raise InvalidValue(field="rule", rule="names_a_day")
    if last is None and unit == "weeks":
        last = first + timedelta(days=WEEK * number - 1)
    if last is not None:
        return f"{said};UNTIL={last:%Y%m%d}"
    if not number:
        raise InvalidValue(field="rule", rule="ends_within_2_years")
    return f"{said};COUNT={number}"


def weekdays_of(series: SeriesInfo) -> tuple[int, ...]:
    """Return the days of the week of a series that simply comes every week, Monday 0; none for any other."""
    parts = dict(part.partition("=")[::2] for part in series.rule.upper().split(";"))
    if parts.pop("FREQ", "") != "WEEKLY" or parts.keys() - {"BYDAY", "UNTIL", "COUNT", "WKST"}:
        return ()
    named = parts.get("BYDAY", WEEKDAYS[series.first_at.weekday()]).split(",")
    return tuple(WEEKDAYS.index(each) for each in named) if set(named) <= set(WEEKDAYS) else ()


def as_last_time(asked: RequestInfo, words: Words) -> Draft:
    """Return a draft of the same again: on the next such day of the week after today and after that one."""
    day, tomorrow = words.date_of(asked.earliest_start), words.today + timedelta(days=1)
    weeks = max(1, -((day - tomorrow).days // WEEK))
    wanted = Preferences(asked.gender_wanted, asked.gender_hard)
    return Draft(
        kind=asked.kind,
        soon="can_wait",
        day=(day + timedelta(days=WEEK * weeks)).isoformat(),
        time=_time_of(asked, words),
        who=next((name for name, each in WHO.items() if each == wanted), "any"),
        language=asked.language_wanted or "",
        same="1" if asked.same_carer else "",
    )


def left_of(
    texts: Mapping[str, str], day: date, kind: ServiceKind, *, policy: Policy, words: Words, now: datetime
) -> dict[str, tuple[str, datetime, datetime]]:
    """Return those of the times (name → text) at which a visit of ``kind`` can still begin.

    By name: the text, and the first and the last start.
    """
    left = {}
    for name, text in texts.items():
        when = when_of(text, day, kind.expected_minutes, words)
        try:
            assert when is not None, "each of the texts says a time"
            at = asked_time(when, kind.expected_minutes, slots=policy.slots, timezone=words.timezone, now=now)
        except InvalidValue:
            continue
        left[name] = (text, at.earliest_start, at.latest_start)
    return left


def _time_of(asked: RequestInfo, words: Words) -> str:
    if asked.slot is not None:
        return asked.slot.value
    first = words.clock(asked.earliest_start)
    if asked.timing is Timing.FIXED:
        return first
    last = words.clock(asked.latest_start + timedelta(minutes=asked.minutes))
    return f"{first}-{last}" if first < last else first


def _moment(text: str, day: date, words: Words) -> datetime | None:
    found = CLOCK.fullmatch(text)
    return words.moment(day, int(found[1]), int(found[2])) if found else None
