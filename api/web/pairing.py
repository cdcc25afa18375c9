"""The page of a pairing run: what was paired and why, what was not, and a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn
from api.web.pages import page
from api.web.pairing_map import draw
from api.web.pairing_words import tell
from api.web.visitor import visit
from api.web.words import Words
from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.plan import Plan
from pointsbank.domain.roles import STAFF
from services.matching import service as matching
from services.people import service as people
from services.people.views import GridInfo


@get("/coordinator/pairing/{run_id:uuid}", opt=may(*STAFF), include_in_schema=False)
async def show(request: SignedIn, run_id: FromPath[UUID]) -> Response[str]:
    """Show what a run decided, with everybody's names: for coordinators only. Raises NotFound."""
    async with visit(request) as (uow, visitor):
        detail = await matching.run_detail(uow, visitor.actor, run_id)
        found = await people.people_by_id(uow, people_named(detail.instance, detail.plan))
        names = {str(person_id): person.name for person_id, person in found.items()}
        facts = run_facts(visitor.words, detail.instance, detail.plan, names, await people.small_grids(uow))
        return page(request, visitor, "pairing.html", info=detail.info, **facts)


def people_named(instance: Instance, plan: Plan) -> list[UUID]:
    """Return the ids of everybody the page names: elders, who goes, and who would have been next."""
    ids = {request.elder for request in instance.requests}
    for planned in plan.visits:
        ids.add(planned.volunteer)
        if planned.alternative is not None:
            ids.add(planned.alternative.volunteer)
    return [UUID(each) for each in sorted(ids)]


def run_facts(
    words: Words, instance: Instance, plan: Plan, names: Mapping[str, str], grids: Sequence[GridInfo]
) -> dict[str, Any]:
    """Return what the template shows of a run. names: of people, by id."""
    grid_names = {
        grid.number: words.t("board.grid", number=grid.name) if grid.name.isdigit() else grid.name
        for grid in grids
    }
    return {
        "told": tell(words, instance, plan, names),
        "drawing": draw(instance, plan, names, grid_names),
        "paired_requests": len({planned.request for planned in plan.visits}),
    }


ROUTES = [show]
