"""The community that a new database begins with."""

from __future__ import annotations

from pointsbank.platform.database import Database
from services.founding import found_community
from services.people import service as people

COMMUNITY_ID = 1
COMMUNITY_CODE = "shichong"
COMMUNITY_NAME = "石冲社区"
COMMUNITY_TIMEZONE = "Asia/Shanghai"


async def is_founded(app_url: str) -> bool:
    """Tell whether the database has any community."""
    database = Database(app_url, pool_size=1)
    try:
        async with database.session() as session:
            return bool(await people.communities(session))
    finally:
        await database.close()


async def ensure_founded(app_url: str) -> None:
    """Found the community when the database has none, with its default grids, policy and partners."""
    if await is_founded(app_url):
        return
    database = Database(app_url, pool_size=1)
    try:
        await found_community(
            database,
            community_id=COMMUNITY_ID,
            code=COMMUNITY_CODE,
            name=COMMUNITY_NAME,
            timezone=COMMUNITY_TIMEZONE,
        )
    finally:
        await database.close()
