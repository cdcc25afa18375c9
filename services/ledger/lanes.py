"""What waits to be posted: the posts of a community, gathered into the batches they will be recorded by.

A lane is a queue and no more: it knows no connection and awaits nothing. :mod:`services.ledger.posting` sends
what it has gathered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from pointsbank.domain.journal import JournalEntry
from services.ledger.batch import Batch, Filling
from services.ledger.views import Verdict

GATHERED_ENTRIES_MAX = 500
"""Entries of one gathered batch: about 15 ms of the database's time."""

SHARE_MIN = 64
"""Entries that go together however few wait: smaller batches cost more in all than they save in waiting."""

SENT_MAX = 2
"""Batches of one community that are under way at once: one at work, one behind it."""

QUEUE_ENTRIES_MAX = 10_000
"""Entries of one community that wait in a process; beyond it a post is refused at once."""

Outcome = Sequence[Verdict] | Exception
"""What became of a post: the verdict on each of its entries, or why none is known."""


class Post:
    """What one caller posts: one entry, or several that are linked."""

    __slots__ = ("answer", "entries", "lines")

    def __init__(self, entries: Sequence[JournalEntry], answer: asyncio.Future[Sequence[Verdict]]) -> None:
        self.entries = entries
        self.lines = sum([len(entry.transfers) for entry in entries])
        self.answer = answer

    def tell(self, outcome: Outcome) -> None:
        """Answer the caller, should there still be one."""
        if not self.answer.done():
            if isinstance(outcome, Exception):
                self.answer.set_exception(outcome)
            else:
                self.answer.set_result(outcome)


class Gathering:
    """Posts that will be recorded by one commit, in the order in which they came."""

    def __init__(self, community_id: int) -> None:
        self.batch = Batch(community_id)
        self.posts: list[Post] = []
        self._filling = Filling()

    def takes(self, post: Post, entries_max: int) -> bool:
        """Tell whether a post can go with those gathered already."""
        return self._filling.takes(post.entries, post.lines, entries_max)

    def add(self, post: Post) -> None:
        """Add a post: its entries are packed at once, so that little is left to do when the batch is sent."""
        link = len(self.posts) + 1
        for entry in post.entries:
            self.batch.add(entry, link=link)
            self._filling.add(entry)
        self.posts.append(post)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Answer each post."""
        for post, outcome in zip(self.posts, outcomes, strict=True):
            post.tell(outcome)

    def give_up(self, error: type[Exception]) -> None:
        """Answer every post alike, each with an error of its own."""
        for post in self.posts:
            post.tell(error())


def alone(community_id: int, post: Post) -> Gathering:
    """Return a gathering of one post."""
    gathering = Gathering(community_id)
    gathering.add(post)
    return gathering


class Sent:
    """A batch on its way. It is the lane's first gathering at the moment it goes out."""

    __slots__ = ("begun", "gathering")

    def __init__(self) -> None:
        self.gathering: Gathering | None = None
        self.begun = False
        """Whether the database has said that it holds the head row: what is sent now cannot overtake it."""


class Lane:
    """The posts of one community that wait, as batches, and what is under way."""

    def __init__(self, community_id: int) -> None:
        self.community_id = community_id
        self.waiting = 0
        """Entries that are not answered yet, those under way among them."""
        self.under_way: list[Sent] = []
        self.asking = False
        """Whether a connection has been asked for."""
        self._gatherings: deque[Gathering] = deque()

    def gather(self, post: Post) -> None:
        """Take a post in.

        A batch closes at half of what waits: while one half is at the database, the other is answered, and
        whoever was answered posts again. All in one batch, process and database would wait for each other.
        """
        share = min(GATHERED_ENTRIES_MAX, max(SHARE_MIN, (self.waiting + 1) // 2))
        gatherings = self._gatherings
        if not gatherings or not gatherings[-1].takes(post, share):
            gatherings.append(Gathering(self.community_id))
        gatherings[-1].add(post)
        self.waiting += len(post.entries)

    def take(self) -> Gathering | None:
        """Take out the gathering that goes next."""
        return self._gatherings.popleft() if self._gatherings else None

    def may_send(self) -> bool:
        """Tell whether the next batch can be sent: nothing is under way, or the one before is ahead of it.

        To send fewer than are under way would gather too little.
        """
        gatherings, under_way = self._gatherings, self.under_way
        if not gatherings or len(under_way) == SENT_MAX:
            return False
        if not under_way:
            return True
        last = under_way[-1]
        return (
            last.begun
            and last.gathering is not None
            and (len(gatherings) > 1 or gatherings[0].batch.entries >= last.gathering.batch.entries)
        )
