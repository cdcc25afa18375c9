"""A canteen with a menu: what tests of menus, runs and meals stand on."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from tests.partners.support import COMMUNITY, TODAY, Platform

TOMORROW = TODAY + timedelta(days=1)
FISH, TOFU = "fish", "tofu"


async def done(answer: httpx.Response) -> Any:
    """Return what a call answered; it must have been done."""
    assert answer.is_success, answer.text
    return answer.json()


async def write_dishes(canteen: Platform) -> None:
    """Write down two dishes of the lunch set."""
    for code, body in {
        FISH: {"name": "清蒸鱼", "tags": ["low_salt"], "allergens": ["fish"]},
        TOFU: {"name": "麻婆豆腐", "tags": ["soft", "diabetic"], "allergens": ["soy"]},
    }.items():
        await done(
            await canteen.call(
                "PUT", f"/dishes/{code}", {"community_id": COMMUNITY, "item": "lunch_set", **body}
            )
        )


async def set_menu(
    canteen: Platform, day: date = TOMORROW, *, fish: int = 10, tofu: int = 10, seats: int = 20
) -> None:
    """Serve both dishes for lunch on a day."""
    body = {
        "community_id": COMMUNITY,
        "capacity": seats,
        "dishes": [{"dish": FISH, "capacity": fish}, {"dish": TOFU, "capacity": tofu}],
    }
    await done(await canteen.call("PUT", f"/menus/{day}/lunch", body))


async def change_rules(canteen: Platform, **rules: Any) -> None:
    """Change the canteen's rules."""
    await done(await canteen.call("PUT", "/rules", {"community_id": COMMUNITY, "rules": rules}))


async def order_dish(
    canteen: Platform, dish: str | None = FISH, redemption_id: UUID | None = None, **changes: Any
) -> dict[str, Any]:
    """Order a dish for tomorrow's lunch. place: (big grid, small grid, building, walk) has it delivered."""
    place = changes.pop("place", None)
    details: dict[str, Any] = {"dish": dish, "diet": changes.pop("diet", None)}
    if place:
        names = ("big_grid", "small_grid", "building", "walk")
        details["place"] = dict(zip(names, place, strict=True))
        changes.setdefault("mode", "delivery")
    details |= changes.pop("details", {})
    answer = await canteen.place(
        redemption_id or uuid4(),
        **{"business_date": TOMORROW.isoformat(), "details": details, **changes},
    )
    return dict(await done(answer))


async def menu_of(canteen: Platform, first: date, last: date | None = None) -> list[dict[str, Any]]:
    """Return the menus of some days as the platform reads them."""
    query = f"community_id={COMMUNITY}&from={first}&to={last or first}"
    return list(await done(await canteen.call("GET", f"/menus?{query}")))


async def left(canteen: Platform, dish: str = FISH, day: date = TOMORROW) -> int:
    """Return how many of a dish can still be ordered."""
    return next(int(each["left"]) for each in await menu_of(canteen, day) if each["dish"] == dish)
