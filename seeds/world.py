"""What the builders of a world share, and what is told when it stands."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from pointsbank.domain import accounts
from pointsbank.domain.roles import Actor, Role
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database, UnitOfWork
from seeds.geography import COMMUNITY_ID
from seeds.residents import Population
from seeds.scale import Scale
from services.ledger import service as ledger
from services.people import service as people

Progress = Callable[[str, int, int], None]
"""Called with a step's stable name, how much of it is done, and how much there is."""


class WorldFailed(RuntimeError):
    """A service refused what a seed asked of it: the world would not be the one the seed says."""


@dataclass(slots=True)
class World:
    """A world under construction. ``past`` writes as if it were ``clock``'s moment; ``now`` in real time.

    buildings, ids: of buildings and residents, in the order of the seeds. index: back from a resident's id
    to their place there. counts: what was written, by name.
    """

    past: Database
    now: Database
    clock: FixedClock
    scale: Scale
    seed: int
    people: Population
    progress: Progress
    buildings: list[UUID] = field(default_factory=list)
    ids: list[UUID] = field(default_factory=list)
    index: dict[UUID, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, number: int) -> None:
        """Add to one of the world's counts."""
        self.counts[name] = self.counts.get(name, 0) + number

    @property
    def coordinators(self) -> list[int]:
        """The coordinators, as indexes into the population."""
        return self.people.holders[Role.COORDINATOR]

    async def actor(self, uow: UnitOfWork, index: int) -> Actor:
        """Return a resident as one who acts."""
        return await people.actor_of(uow, self.ids[index])


@dataclass(frozen=True, slots=True)
class WorldSummary:
    """A finished world. counts: rows by name. digest: the same for the same seed, scale and day."""

    people: int
    elders: int
    volunteers: int
    buildings: int
    counts: dict[str, int]
    service_minutes: int
    available_milli_points: int
    digest: str


async def summarise(world: World) -> WorldSummary:
    """Return the summary of a world that stands, its digest over people, minutes and points."""
    volunteers = world.people.holders[Role.VOLUNTEER]
    async with world.now.unit_of_work(COMMUNITY_ID) as uow:
        found = await people.people_by_id(uow, [world.ids[index] for index in volunteers])
        refs = [found[world.ids[index]].ledger_ref for index in volunteers]
        codes = [code(ref) for ref in refs for code in (accounts.service, accounts.available, accounts.held)]
        balances = await ledger.balances(uow, codes)
    lines = [
        f"{resident.number}|{resident.name}|{resident.phone}|{resident.gender}|{resident.born_on}"
        f"|{resident.building}|{resident.room}|{sorted(resident.roles)}|{sorted(resident.skills)}|{resident.free}"
        for resident in world.people.residents
    ]
    lines += [
        f"{world.people.residents[index].number}|{balances[accounts.service(ref)]}"
        f"|{balances[accounts.available(ref)]}|{balances[accounts.held(ref)]}"
        for index, ref in zip(volunteers, refs, strict=True)
    ]
    return WorldSummary(
        people=len(world.ids),
        elders=len(world.people.holders[Role.ELDER]),
        volunteers=len(volunteers),
        buildings=len(world.people.ground.buildings),
        counts=dict(sorted(world.counts.items())),
        service_minutes=sum(balances[accounts.service(ref)] for ref in refs),
        available_milli_points=sum(balances[accounts.available(ref)] for ref in refs),
        digest=_digest(lines),
    )


def content_key(*parts: object) -> bytes:
    """Return 32 bytes that name a record by what it says."""
    return hashlib.sha256("|".join(str(part) for part in parts).encode()).digest()


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
