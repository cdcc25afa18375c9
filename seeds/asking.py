"""How elders of the demo world say when, and whom they would like: drawn beside what they ask for."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pointsbank.domain.asked_time import DEFAULT_SLOTS, SlotOn, When, Window
from pointsbank.domain.preferences import GenderWanted, Preferences
from seeds.geography import TIMEZONE

FIXED, SLOT = 0.25, 0.3
"""Shares of those who name a minute and a part of the day; all others say from when to when."""

WINDOW_MINUTES = (60, 90, 120, 180)
LANGUAGES = (None, "yue", "cmn", "hak", "nan")
LANGUAGE_WEIGHTS = (62, 28, 5, 3, 2)


def drawn_when(rng: random.Random, starts_at: datetime, minutes: int, *, in_slots: bool) -> When:
    """Return how an elder who is free at ``starts_at`` asks for ``minutes``. in_slots: some by the slot."""
    chance = rng.random()
    if chance < FIXED:
        return starts_at
    if in_slots and chance < FIXED + SLOT:
        at = starts_at.astimezone(ZoneInfo(TIMEZONE))
        minute = at.hour * 60 + at.minute
        for slot, hours in DEFAULT_SLOTS.items():
            if hours.from_minute <= minute <= hours.to_minute - minutes:
                return SlotOn(at.date(), slot)
    return Window(starts_at, starts_at + timedelta(minutes=rng.choice(WINDOW_MINUTES)))


def drawn_preferences(rng: random.Random) -> Preferences:
    """Return whom an elder would like to come; most would have anybody."""
    gender = rng.choices((None, GenderWanted.FEMALE, GenderWanted.MALE), weights=(80, 14, 6))[0]
    (language,) = rng.choices(LANGUAGES, weights=LANGUAGE_WEIGHTS)
    hard, same = rng.random() < 0.15, rng.random() < 0.2
    return Preferences(gender, gender is not None and hard, language, same)
