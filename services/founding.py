"""Founding a community: its grids, its journal, its first policy and its partners, in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from pointsbank.domain.grid import GridPlan, default_grid_plan
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.platform.database import Database
from services.ledger import service as ledger
from services.people import service as people
from services.settlement import service as settlement

FOUNDER = UUID(int=0)
"""Who proposed and approved version 1 of the policy: the founding itself, before there are people."""

FIRST_POLICY_FROM = date(2020, 1, 1)
"""Version 1 also covers service rendered before the community joined, for records brought in from paper."""


async def found_community(
    database: Database,
    *,
    community_id: int,
    code: str,
    name: str,
    timezone: str = "Asia/Shanghai",
    grids: GridPlan | None = None,
    policy: Mapping[str, Any] = DEFAULT_POLICY,
) -> None:
    """Found a community, ready to take people in. Raises InvalidValue; one that exists is refused.

    grids: the cut into big and small grids; 4 × 4 unless given. policy: what version 1 says.
    """
    async with database.unit_of_work(community_id) as uow:
        await people.create_community(
            uow, code=code, name=name, timezone=timezone, grids=grids or default_grid_plan()
        )
        await ledger.open_ledger(uow)
        await ledger.add_policy(
            uow,
            effective_from=FIRST_POLICY_FROM,
            body=dict(policy),
            proposed_by=FOUNDER,
            approved_by=FOUNDER,
        )
        await settlement.add_partners(uow)
