"""What the canteen of the world cooks: a month of menus, one week like the other, and the week to come."""

from __future__ import annotations

from datetime import date, timedelta

from seeds.partners import CanteenDoor

WEEKS_BEFORE = 4
LUNCH_SEATS, DINNER_SEATS = 400, 200

DISHES: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {
    "steamed_fish": ("清蒸鲩鱼", "lunch_set", ("low_salt",), ("fish", "soy")),
    "egg_tomato": ("番茄炒蛋", "lunch_set", (), ("egg",)),
    "tofu_mince": ("肉末豆腐", "lunch_set", ("soft",), ("soy",)),
    "chicken_mushroom": ("冬菇蒸鸡", "lunch_set", ("low_salt",), ("soy",)),
    "winter_melon": ("冬瓜薏米煲瘦肉", "lunch_set", ("low_salt", "diabetic"), ()),
    "pumpkin_congee": ("南瓜瘦肉粥", "soft_lunch", ("soft", "low_salt"), ()),
    "egg_custard": ("水蒸蛋软饭", "soft_lunch", ("soft",), ("egg", "soy")),
    "bitter_melon": ("凉瓜牛肉", "dinner_set", ("diabetic",), ("soy",)),
    "lotus_soup": ("莲藕排骨汤饭", "dinner_set", ("soft",), ()),
}
"""Code → name, set it is sold as, whom it suits, what some must not eat."""

LUNCHES = (
    ("steamed_fish", "tofu_mince", "pumpkin_congee"),
    ("egg_tomato", "winter_melon", "egg_custard"),
    ("chicken_mushroom", "tofu_mince", "pumpkin_congee"),
    ("steamed_fish", "egg_tomato", "egg_custard"),
    ("chicken_mushroom", "winter_melon", "pumpkin_congee"),
    ("egg_tomato", "tofu_mince", "egg_custard"),
    ("winter_melon", "steamed_fish", "pumpkin_congee"),
)
"""Dishes of each weekday's lunch, Monday first."""


async def write_menus(canteen: CanteenDoor, today: date) -> None:
    """Write down the dishes, plan a week, and copy it to the weeks up to the one after today's."""
    for code, (name, item, tags, allergens) in DISHES.items():
        body = {"name": name, "item": item, "tags": tags, "allergens": allergens}
        await canteen.send("PUT", f"/dishes/{code}", body)
    first = today - timedelta(days=today.weekday() + 7 * WEEKS_BEFORE)
    for number, lunch in enumerate(LUNCHES):
        day = first + timedelta(days=number)
        await _serve(canteen, day, "lunch", lunch, LUNCH_SEATS)
        await _serve(canteen, day, "dinner", ("bitter_melon", "lotus_soup"), DINNER_SEATS)
    for week in range(1, WEEKS_BEFORE + 2):
        to = first + timedelta(days=7 * week)
        await canteen.send("POST", "/menus/copy", {"from": first, "to": to})


async def _serve(canteen: CanteenDoor, day: date, meal: str, dishes: tuple[str, ...], seats: int) -> None:
    portions = [{"dish": dish, "capacity": seats // len(dishes)} for dish in dishes]
    await canteen.send("PUT", f"/menus/{day}/{meal}", {"capacity": seats, "dishes": portions})
