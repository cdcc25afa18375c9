"""Finding the person whom a file means by a member number, a name and phone, or a name alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pointsbank.domain.roles import Role
from pointsbank.platform.cells import parse_phone
from pointsbank.platform.database import UnitOfWork
from services.people import service
from services.people.views import PersonInfo

NAME_AND_PHONE = re.compile(
    r"(?P<name>\D*[^\d\s(（/,，、:：+])[\s(（/,，、:：]*(?P<phone>\+?\d[\d\s-]{5,})[)）]?"
)
FOUND_MAX = 50_000
"""How many answers a finder remembers before it starts anew."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A person as a file names them. phone: from a column of its own, may be empty. likely: the role that
    tells namesakes apart when exactly one of them holds it.
    """

    text: str
    phone: str = ""
    likely: Role | None = None


UNKNOWN, AMBIGUOUS = "unknown_person", "ambiguous_name"


class PersonFinder:
    """Answers mentions in bulk and remembers the answers. An answer: the person's id, or a code."""

    def __init__(self) -> None:
        self._found: dict[Mention, UUID | str] = {}

    async def find(self, uow: UnitOfWork, mentions: Sequence[Mention]) -> dict[Mention, UUID | str]:
        """Return an id, ``UNKNOWN`` or ``AMBIGUOUS`` for each mention."""
        fresh = [mention for mention in set(mentions) if mention not in self._found]
        if len(self._found) + len(fresh) > FOUND_MAX:
            self._found.clear()
            fresh = list(set(mentions))
        if fresh:
            self._found.update(await _look_up(uow, fresh))
        return {mention: self._found[mention] for mention in mentions}


async def _look_up(uow: UnitOfWork, mentions: Sequence[Mention]) -> dict[Mention, UUID | str]:
    split = {mention: NAME_AND_PHONE.fullmatch(mention.text) for mention in mentions}
    texts = {mention.text for mention in mentions}
    names = texts | {match["name"].strip() for match in split.values() if match}
    by_number: dict[str, PersonInfo] = {}
    by_name: dict[str, list[PersonInfo]] = defaultdict(list)
    for person in await service.people_named(uow, member_numbers=sorted(texts), names=sorted(names)):
        by_name[person.name].append(person)
        if person.member_number is not None:
            by_number[person.member_number] = person
    answers: dict[Mention, UUID | str] = {}
    for mention, match in split.items():
        if mention.text in by_number:
            answers[mention] = by_number[mention.text].id
        elif mention.text in by_name or match is None:
            answers[mention] = _one(by_name[mention.text], mention.phone, mention.likely)
        else:
            answers[mention] = _one(by_name[match["name"].strip()], match["phone"], mention.likely)
    return answers


def _one(namesakes: Sequence[PersonInfo], phone: str, likely: Role | None) -> UUID | str:
    if phone.strip():
        digits = parse_phone(phone)
        namesakes = [p for p in namesakes if digits is not None and parse_phone(p.phone or "") == digits]
    if len(namesakes) > 1 and likely is not None:
        namesakes = [person for person in namesakes if likely in person.roles] or namesakes
    if len(namesakes) == 1:
        return namesakes[0].id
    return AMBIGUOUS if namesakes else UNKNOWN
