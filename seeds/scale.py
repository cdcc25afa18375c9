"""How large a demo world is."""

from __future__ import annotations

from dataclasses import dataclass

SEED = 20210924
"""The default seed: the day on which the community's figures were printed."""

WEEKS_MAX = 13
"""Three months: the longest past of a world. Everybody in it was born before."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Counts of a world; everything else follows from them and the seed.

    weeks: of the past that ends yesterday. buildings_per_place: in an estate, a compound, a village.
    eligible_elders: aged 60 or more and admitted to the canteen. elder_volunteers: volunteers among them;
    younger_volunteers: the others. station_visits: people counted at the station in the whole past.
    requests_a_week: help requests a week that walk the whole chain, from the asking to the posting.
    waiting: requests of the last day whose visits wait for confirmation. coming: a third of the requests
    for the days ahead.
    """

    weeks: int
    residents: int
    eligible_elders: int
    elder_volunteers: int
    younger_volunteers: int
    coordinators: int
    auditors: int
    buildings_per_place: tuple[int, int, int]
    station_visits: int
    requests_a_week: int
    waiting: int
    coming: int


FULL = Scale(
    weeks=WEEKS_MAX,
    residents=20_400,
    eligible_elders=2_740,
    elder_volunteers=260,
    younger_volunteers=200,
    coordinators=8,
    auditors=2,
    buildings_per_place=(8, 8, 4),
    station_visits=2_950,
    requests_a_week=30,
    waiting=8,
    coming=12,
)
"""Shichong by its published figures: over 20,000 residents, over 2,700 eligible elders, nearly 200
buildings, nearly 3,000 visits to the station in three months."""

SMALL = Scale(
    weeks=5,
    residents=500,
    eligible_elders=110,
    elder_volunteers=16,
    younger_volunteers=12,
    coordinators=2,
    auditors=1,
    buildings_per_place=(1, 1, 1),
    station_visits=60,
    requests_a_week=4,
    waiting=4,
    coming=4,
)
"""The same shape in seconds, for tests and for a first look."""
