"""Who is calling, what they may, and what keeps other sites out."""

from __future__ import annotations

import asyncpg
import httpx
from litestar import Litestar
from litestar.routes import HTTPRoute

from api.auth import COOKIE, MAY, SECURITY_HEADERS
from pointsbank.domain.roles import Role
from pointsbank.platform.database import Database
from services.people import service as people
from tests.http.conftest import ORIGIN, Caller, sign_in
from tests.worlds import World, small_world

ASK = {"kind": "companionship", "starts_at": "2026-03-02T12:00:00+08:00", "minutes": 60}


def with_cookie(client: httpx.AsyncClient, token: str, **headers: str) -> Caller:
    return Caller(client, {"Cookie": f"{COOKIE}={token}"} | headers)


def test_every_route_declares_who_may_call_it(app: Litestar) -> None:
    undeclared = [
        f"{sorted(handler.http_methods)} {route.path}"
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.http_methods != {"OPTIONS"}
        and handler.opt.get(MAY) != "anyone"
        and not isinstance(handler.opt.get(MAY), frozenset)
    ]
    assert undeclared == []


def test_nothing_of_the_json_api_is_open_to_anyone(app: Litestar) -> None:
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path.startswith("/api/"):
            for handler in route.route_handlers:
                assert handler.http_methods == {"OPTIONS"} or handler.opt[MAY] != "anyone", route.path


async def test_nobody_gets_in_without_a_session(client: httpx.AsyncClient, world: World) -> None:
    for header in ({}, {"Authorization": "Bearer 1.unknown"}, {"Cookie": f"{COOKIE}=1.unknown"}):
        answer = await client.get("/api/v1/me", headers=header)
        assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_required"), header
        assert answer.headers["www-authenticate"] == "Bearer"
    for token in ("", ".", "x" * 5000, "99999999999999999999.a", "-1.a", "2.a"):
        answer = await client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, token


async def test_a_route_is_closed_to_other_roles(elder: Caller, volunteer: Caller, auditor: Caller) -> None:
    for who, method, path in (
        (elder, "GET", "/trial-balance"),
        (volunteer, "GET", "/journal-entries"),
        (elder, "GET", "/verification"),
        (elder, "GET", "/offers"),
        (auditor, "POST", "/pairing-runs"),
        (volunteer, "POST", "/people/search"),
    ):
        answer = await (who.get(path) if method == "GET" else who.post(path))
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), path


async def test_another_residents_things_are_closed_to_a_resident(
    elder: Caller, volunteer: Caller, world: World
) -> None:
    other = str(world.second_elder.id)
    for path in (f"/people/{other}", f"/people/{other}/balance", f"/statement?member_id={other}"):
        assert (await elder.get(path)).status_code == 403, path
    for path in ("/help-requests?elder_id=", "/visits?volunteer_id=", "/redemptions?member_id="):
        assert (await elder.get(path + other)).status_code == 403, path
    assert (await elder.post("/help-requests", ASK | {"elder_id": other})).status_code == 403
    order = {"partner": "canteen", "item": "lunch", "member_id": other}
    assert (await volunteer.post("/redemptions", order)).status_code == 403


async def test_a_sign_in_link_opens_a_session_and_leads_home(
    client: httpx.AsyncClient, bank: Database, world: World
) -> None:
    homes = [
        (world.elder, "/elder"),
        (world.volunteer, "/volunteer"),
        (world.coordinator, "/coordinator"),
        (world.auditor, "/books"),
        (world.grid_leader, "/confirm"),
    ]
    for person, home in homes:
        async with bank.unit_of_work(1) as uow:
            token = await people.issue_sign_in_token(uow, person.id)
        answer = await client.get(f"/sign-in/{token}")
        assert (answer.status_code, answer.headers["location"]) == (303, home)
        cookie = answer.headers["set-cookie"]
        assert f"{COOKIE}=" in cookie
        assert token not in cookie
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
        me = await client.get("/api/v1/me")  # the client keeps the cookie
        assert me.json()["id"] == str(person.id)
        assert me.json()["home"] == home


async def test_the_cookie_is_secure_where_the_page_is(
    client: httpx.AsyncClient, bank: Database, world: World
) -> None:
    async with bank.unit_of_work(1) as uow:
        token = await people.issue_sign_in_token(uow, world.elder.id)
    answer = await client.get(f"https://points.test/sign-in/{token}")
    assert "Secure" in answer.headers["set-cookie"]
    assert "Secure" not in (await client.get(f"/sign-in/{token}")).headers["set-cookie"]


async def test_a_bad_sign_in_link_opens_nothing(
    client: httpx.AsyncClient, bank: Database, world: World
) -> None:
    session = await sign_in(bank, world, world.elder)
    for token in ("1.unknown", "7.unknown", "nonsense", "0.x", session):
        answer = await client.get(f"/sign-in/{token}")
        assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_link_invalid"), token
        assert "set-cookie" not in answer.headers


async def test_signing_out_ends_the_session_everywhere(
    client: httpx.AsyncClient, bank: Database, world: World
) -> None:
    token = await sign_in(bank, world, world.elder)
    mine = with_cookie(client, token, Origin=ORIGIN)
    answer = await client.post("/sign-out", headers=mine.headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert (await mine.get("/me")).status_code == 401
    assert (await Caller(client, {"Authorization": f"Bearer {token}"}).get("/me")).status_code == 401


async def test_a_change_by_cookie_comes_from_our_own_pages_only(
    client: httpx.AsyncClient, bank: Database, world: World
) -> None:
    token = await sign_in(bank, world, world.elder)
    for foreign in (
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.test"},
        {"Origin": f"{ORIGIN}.evil.test"},
        {"Origin": f"ftp://{ORIGIN.partition('://')[2]}"},
        {"Origin": f"//{ORIGIN.partition('://')[2]}"},
        {"Origin": "http://["},
    ):
        answer = await with_cookie(client, token, **foreign).post("/help-requests", ASK)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin"), foreign
    mine = with_cookie(client, token, Origin=ORIGIN)
    assert (await mine.post("/help-requests", ASK)).status_code == 201
    assert (await with_cookie(client, token).get("/me")).status_code == 200


async def test_a_role_that_was_taken_away_is_gone_at_once(
    coordinator: Caller, world: World, owner_url: str
) -> None:

    assert (await coordinator.get("/board")).status_code == 200
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute(
            "DELETE FROM bank.person_roles WHERE role = $1 AND person_id = $2",
            Role.COORDINATOR.value,
            world.coordinator.id,
        )
    finally:
        await owner.close()
    assert (await coordinator.get("/board")).status_code == 403


async def test_every_answer_carries_the_headers_that_keep_it_to_itself(
    client: httpx.AsyncClient, elder: Caller
) -> None:
    for answer in (
        await elder.get("/me"),
        await elder.get("/nothing"),
        await client.get("/"),
        await client.get("/docs"),
        await client.get("/sign-in/nonsense"),
        await client.options("/api/v1/me"),
    ):
        assert answer.status_code != 500, answer.text
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value, (str(answer.url), name)
    assert "'unsafe" not in SECURITY_HEADERS["Content-Security-Policy"]
    assert (await elder.get("/me")).headers["cache-control"] == "no-store"


async def test_a_page_and_its_style_say_their_characters_once(client: httpx.AsyncClient) -> None:
    for path, kind in (("/", "text/html"), ("/static/pointsbank.css", "text/css"), ("/docs", "text/html")):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8"), path


async def test_a_session_reaches_its_own_community_only(
    client: httpx.AsyncClient, bank: Database, world: World
) -> None:
    other = await small_world(bank, community_id=2)
    theirs = Caller(client, {"Authorization": f"Bearer {await sign_in(bank, other, other.coordinator)}"})
    assert (await theirs.get("/me")).json()["community"]["id"] == 2
    found = (await theirs.post("/people/search", {"text": "测试甲"})).json()["items"]
    assert [each["id"] for each in found] == [str(other.elder.id)]
