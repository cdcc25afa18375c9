"""Every policy version at hand, for work that looks at many kinds and days at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from functools import lru_cache

from pointsbank.domain.errors import NotFound
from pointsbank.domain.policy import Policy, UnknownServiceKind, parse_policy
from pointsbank.platform.database import UnitOfWork
from services.ledger import policy_store


class PolicyBook:
    """A community's policies; answers as :func:`services.ledger.service.policy_for_kind` does, unasked."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._latest_first = sorted(
            policies, key=lambda policy: (policy.effective_from, policy.version), reverse=True
        )

    def on(self, day: date) -> Policy:
        """Return the policy in force on a local day. Raises NotFound."""
        for policy in self._latest_first:
            if policy.effective_from <= day:
                return policy
        raise NotFound(what="policy")

    def for_kind(self, kind: str, day: date) -> Policy:
        """Return the policy by which a kind is judged that day: the last in force that knows it.

        Raises UnknownServiceKind.
        """
        for policy in self._latest_first:
            if policy.effective_from <= day and kind in policy.kinds:
                return policy
        raise UnknownServiceKind(kind=kind)


PARSED_MAX = 256
"""Documents whose meaning is remembered: a community has a handful."""


async def policy_book(uow: UnitOfWork) -> PolicyBook:
    """Return the community's policies, in one query."""
    return PolicyBook(
        [
            _parsed(version, effective_from, body)
            for version, effective_from, body in await policy_store.all_documents(uow)
        ]
    )


@lru_cache(maxsize=PARSED_MAX)
def _parsed(version: int, effective_from: date, body: str) -> Policy:
    """Return what a document says. By the whole of its text, so that what is remembered is never stale."""
    return parse_policy(version, effective_from, json.loads(body))
