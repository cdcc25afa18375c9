"""How a page says things: the words of the catalogue, and moments, points and lengths in the locale."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.dates import format_skeleton, get_day_names
from babel.numbers import format_currency, format_decimal

from pointsbank.domain.accounts import Commodity
from pointsbank.domain.points import MINUTES_PER_HOUR, format_points
from pointsbank.platform.messages import LANGUAGE_TAGS, Catalogues

catalogues = Catalogues(Path(__file__).parent / "locale")

FEN_PER_YUAN = 100


class Words:
    """One locale's way of saying things in one community's time.

    locale: one of the catalogues'. timezone: the community's. today: the community's day.
    """

    def __init__(self, locale: str, *, timezone: str, today: date) -> None:
        self.locale = locale
        self.today = today
        self.timezone = timezone
        self._zone = ZoneInfo(timezone)

    def on_pages(self) -> Mapping[str, object]:
        """Return everything templates call, by name."""
        return {
            "t": self.t,
            "lang": LANGUAGE_TAGS[self.locale],
            "points": self.points,
            "points_or_dash": self.points_or_dash,
            "amount": self.amount,
            "yuan": self.yuan,
            "whole": self.whole,
            "day": self.day,
            "short_day": self.short_day,
            "near_day": self.near_day,
            "month": self.month,
            "weekday_name": self.weekday_name,
            "clock": self.clock,
            "length": self.length,
        }

    def t(self, key: str, **facts: object) -> str:
        """Return the words for ``key`` with its facts filled in."""
        return catalogues.translate(self.locale, key, **facts)

    def points(self, amount: int, *, sign: bool = False) -> str:
        """Return milli-points as points; with ``sign``, what came in carries a plus."""
        said = format_points(amount).replace("-", "−")
        return f"+{said}" if sign and amount > 0 else said

    def points_or_dash(self, amount: int | None) -> str:
        """Return milli-points as points, or a dash where there are none."""
        return "—" if amount is None else self.points(amount)

    def amount(self, amount: int, commodity: str) -> str:
        """Return an amount of any commodity with its unit."""
        if commodity == Commodity.POINT:
            return self.t("amount.points", points=self.points(amount))
        if commodity == Commodity.MINUTE:
            return self.t("amount.minutes", minutes=self.whole(amount))
        return self.yuan(amount)

    def yuan(self, fen: int) -> str:
        """Return fen as yuan."""
        return str(format_currency(Decimal(fen) / FEN_PER_YUAN, "CNY", locale=self.locale)).replace("-", "−")

    def whole(self, number: int) -> str:
        """Return a whole number with its thousands told apart."""
        return str(format_decimal(number, locale=self.locale)).replace("-", "−")

    def day(self, at: datetime | date) -> str:
        """Return a calendar day with its weekday; the year only when it is another."""
        day = self.date_of(at)
        skeleton = "MMMEd" if day.year == self.today.year else "yMMMEd"
        return self._formatted(skeleton, day)

    def short_day(self, at: datetime | date) -> str:
        """Return month and day."""
        return self._formatted("MMMd", self.date_of(at))

    def near_day(self, at: date) -> str:
        """Return today, tomorrow, or the weekday."""
        if at == self.today:
            return self.t("day.today")
        if at == self.today + timedelta(days=1):
            return self.t("day.tomorrow")
        return self.weekday_name(at.weekday())

    def month(self, at: date) -> str:
        """Return year and month."""
        return self._formatted("yMMMM", at)

    def weekday_name(self, weekday: int) -> str:
        """Return the name of a weekday, Monday being 0."""
        return str(get_day_names("wide", locale=self.locale)[weekday])

    def clock(self, at: datetime) -> str:
        """Return the time of day in the community, on 24 hours."""
        return at.astimezone(self._zone).strftime("%H:%M")

    def length(self, minutes: int) -> str:
        """Return a length of time in hours and minutes."""
        hours, rest = divmod(minutes, MINUTES_PER_HOUR)
        said = [self.t("length.hours", count=hours)] if hours else []
        if rest or not hours:
            said.append(self.t("length.minutes", count=rest))
        return " ".join(said)

    def date_of(self, at: datetime | date) -> date:
        """Return the community's calendar day of a moment; a day is its own."""
        return at.astimezone(self._zone).date() if isinstance(at, datetime) else at

    def moment(self, day: date, hour: int, minute: int) -> datetime:
        """Return the moment that the community's clock shows so."""
        return datetime(day.year, day.month, day.day, hour, minute, tzinfo=self._zone)

    def _formatted(self, skeleton: str, day: date) -> str:
        return str(format_skeleton(skeleton, day, locale=self.locale, fuzzy=True))
