"""The page that tells whether help reaches everybody alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Response, get

from api.auth import may
from api.dependencies import SignedIn
from api.web.pages import page
from api.web.pairing_words import kind_name
from api.web.visitor import visit
from api.web.words import Words
from pointsbank.domain.fairness import Gap, Group, Service
from pointsbank.domain.roles import READERS
from services.matching.fairness import FairnessInfo, fairness

FAIRNESS = "/coordinator/fairness"
PER_PERCENT = 10
MINUTES_A_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: what the group is called, how it was served, what is to be warned of."""

    name: str
    service: Service
    warnings: tuple[str, ...]


@get(FAIRNESS, opt=may(*READERS), include_in_schema=False)
async def show(request: SignedIn) -> Response[str]:
    """Show waiting and service rate by small grid, age and kind, and the load on volunteers."""
    async with visit(request) as (uow, visitor):
        found = await fairness(uow, visitor.actor)
        return page(request, visitor, "fairness.html", **report_facts(visitor.words, found))


def report_facts(words: Words, found: FairnessInfo) -> dict[str, Any]:
    """Return what the template shows of a report."""
    report = found.report
    names = {grid.number: _grid_name(words, grid.name) for grid in found.grids}
    tables = {
        "grid": _rows(words, report.community, report.grids, names),
        "band": _rows(
            words,
            report.community,
            report.bands,
            {group.key: words.t(f"fairness.age.{group.key}") for group in report.bands},
        ),
        "kind": _rows(
            words,
            report.community,
            report.kinds,
            {group.key: kind_name(words, group.key) for group in report.kinds},
        ),
    }
    return {
        "found": found,
        "community_row": Row(words.t("fairness.community"), report.community, ()),
        "tables": tables,
        "load": report.load,
        "percent": percent,
        "wait": lambda minutes: wait(words, minutes),
    }


def _grid_name(words: Words, name: str) -> str:
    return words.t("board.grid", number=name) if name.isdigit() else name


def _rows(
    words: Words, community: Service, groups: tuple[Group[Any], ...], names: dict[Any, str]
) -> list[Row]:
    return [
        Row(
            names.get(group.key, str(group.key)),
            group.service,
            tuple(_warning(words, gap, group.service, community) for gap in group.left_behind),
        )
        for group in groups
    ]


def _warning(words: Words, gap: Gap, service: Service, community: Service) -> str:
    if gap is Gap.RATE:
        return words.t("fairness.behind_rate", rate=percent(service.rate), usual=percent(community.rate))
    return words.t(
        "fairness.behind_waiting", wait=wait(words, service.median), usual=wait(words, community.median)
    )


def percent(permille: int | None) -> str:
    """Return permille as whole percent, rounded down; a dash where there is none."""
    return "—" if permille is None else f"{permille // PER_PERCENT}%"


def wait(words: Words, minutes: int | None) -> str:
    """Return a waiting time: days and hours from a day on, hours and minutes below; a dash for none."""
    if minutes is None:
        return "—"
    days, rest = divmod(minutes, MINUTES_A_DAY)
    if not days:
        return words.length(rest)
    said = [words.t("fairness.days", count=days)]
    if rest >= 60:
        said.append(words.length(rest // 60 * 60))
    return " ".join(said)


ROUTES = [show]
