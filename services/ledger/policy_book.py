"""Every policy version at hand, for work that looks at many kinds and days at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

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


async def policy_book(uow: UnitOfWork) -> PolicyBook:
    """Return the community's policies, in one query."""
    rows = await policy_store.all_versions(uow)
    return PolicyBook([parse_policy(row.version, row.effective_from, row.body) for row in rows])
