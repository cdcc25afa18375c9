"""``pointsbank audit anomalies``: the six questions of an auditor, a table each. Members go by number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table

from api.cli.audited import community_snapshot, days, period_options
from api.cli.runtime import data_option, read_settings
from pointsbank.domain.points import MINUTES_PER_HOUR, format_points
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.settings import Settings
from services.audit import service as auditing
from services.audit.views import Period
from services.people import service as people

ROWS = auditing.PAGE_MAX
WIDTH = 120
"""Columns where nothing tells how wide the paper is."""

Found = dict[str, Any]


@click.command("anomalies")
@data_option
@period_options
@click.option(
    "--threshold-hours", type=click.IntRange(0, 24), help="A day beyond (default: the policy's cap)."
)
@click.option(
    "--round-points", type=click.IntRange(1, 10_000), default=auditing.ROUND_POINTS, show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output instead of tables.")
def anomalies_command(
    data: Path | None,
    code: str | None,
    first: datetime | None,
    last: datetime | None,
    threshold_hours: int | None,
    round_points: int,
    as_json: bool,
) -> None:
    """Ask what an auditor asks of a period: one table for each question."""
    settings = read_settings(data=data)
    over = None if threshold_hours is None else threshold_hours * MINUTES_PER_HOUR
    found = asyncio.run(_found(settings, code, first, last, over, round_points))
    if as_json:
        click.echo(json.dumps(_plain(found), ensure_ascii=False, indent=1))
    else:
        _print(found)


async def _found(
    settings: Settings,
    code: str | None,
    first: datetime | None,
    last: datetime | None,
    over: int | None,
    round_points: int,
) -> Found:
    async with community_snapshot(settings, code) as (uow, community):
        since, until = days(uow, community, first, last)
        period = await auditing.period_of_days(uow, since, until)
        answers = await _answers(uow, period, over, round_points)
        return {
            "community": community.code,
            "from": since,
            "to": until,
            "timezone": community.timezone,
            "entries": period.through - period.after,
            **answers,
            "members": await _numbers(uow, answers),
        }


async def _answers(uow: UnitOfWork, period: Period, over: int | None, round_points: int) -> Found:
    threshold = await auditing.day_cap_minutes(uow) if over is None else over
    rings = await auditing.rings(uow, period)
    reversals = await auditing.reversal_groups(uow, period)
    return {
        "self_kinds": await auditing.self_acted(uow, period),
        "self_acted": (await auditing.self_entries(uow, period, limit=ROWS)).items,
        "reversals": reversals.groups,
        "reversals_complete": reversals.complete,
        "threshold_minutes": threshold,
        "long_days": (await auditing.long_days(uow, period, over_minutes=threshold, limit=ROWS)).items,
        "rings": rings.rings[:ROWS],
        "rings_complete": rings.complete,
        "round_at_night": (
            await auditing.round_at_night(uow, period, multiple_points=round_points, limit=ROWS)
        ).items,
        "confirmations": await auditing.confirmations(uow, period),
        "weak_confirmers": (await auditing.weak_confirmers(uow, period, limit=ROWS)).items,
    }


async def _numbers(uow: UnitOfWork, answers: Found) -> dict[UUID, str]:
    """Return the member number of everybody in the answers, by pseudonym."""
    refs = {each for each in _leaves(_plain(answers, keep=UUID)) if isinstance(each, UUID)}
    found = await people.people_by_ledger_ref(uow, sorted(refs))
    return {ref: person.member_number for ref, person in found.items() if person.member_number}


def _plain(node: Any, *, keep: type | None = None) -> Any:
    """Return what JSON can say: dataclasses as objects, ids and days as text (unless of type ``keep``)."""
    if keep is not None and isinstance(node, keep):
        return node
    if isinstance(node, Mapping):
        return {str(key): _plain(value, keep=keep) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(each, keep=keep) for each in node]
    if isinstance(node, UUID):
        return str(node)
    if isinstance(node, date | datetime):
        return node.isoformat()
    return _plain(asdict(node), keep=keep) if hasattr(node, "__dataclass_fields__") else node


def _leaves(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        for value in node.values():
            yield from _leaves(value)
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value)
    else:
        yield node


def _print(found: Found) -> None:
    console = Console() if Console().is_terminal else Console(width=WIDTH)
    console.print(
        f"{found['community']}: {found['entries']} entries recorded from {found['from']} to {found['to']}"
    )
    tables = Tables(found)
    for title, columns, rows in (
        tables.self_acted(),
        tables.reversals(),
        tables.long_days(),
        tables.rings(),
        tables.round_at_night(),
        tables.confirmations(),
        tables.weak_confirmers(),
    ):
        _table(console, title, columns, rows)


Shown = tuple[str, Sequence[str], list[Sequence[str]]]
"""A table: its title, its columns, its rows."""


class Tables:
    """The answers as tables: members by number, moments by the community's clock, points as points."""

    OF_ENTRY = ("entry", "kind", "actor", "subject", "happened", "recorded", "points", "minutes")

    def __init__(self, found: Found) -> None:
        self._found = found
        self._zone = ZoneInfo(found["timezone"])

    def self_acted(self) -> Shown:
        """Return entries about oneself; all kinds are counted in the title."""
        counted = ", ".join(
            f"{each.kind} {each.entries}{'' if each.expected else ' (!)'}"
            for each in self._found["self_kinds"]
        )
        title = f"1. Entries about oneself, where nobody expects it (all: {counted or 'none'})"
        return title, self.OF_ENTRY, self._entries("self_acted")

    def reversals(self) -> Shown:
        """Return reversals in groups."""
        rows: list[Sequence[str]] = [
            (
                each.reversed_kind,
                each.reason or "none given",
                self._member(each.actor_ref),
                str(each.entries),
                format_points(each.milli_points),
                str(each.minutes),
            )
            for each in self._found["reversals"]
        ]
        columns = ("took back", "reason", "actor", "entries", "points", "minutes")
        title = "2. Reversals by what they take back, reason and who decided"
        if not self._found["reversals_complete"]:
            title += f" (the first {auditing.REVERSALS_MAX} of the period)"
        return title, columns, rows

    def long_days(self) -> Shown:
        """Return days beyond the threshold."""
        rows: list[Sequence[str]] = [
            (
                self._member(each.volunteer_ref),
                f"{each.day}",
                *map(str, (each.visits, each.minutes, each.credited_minutes, each.last_entry)),
            )
            for each in self._found["long_days"]
        ]
        title = f"3. Volunteers' days of more than {self._found['threshold_minutes']} minutes"
        return title, ("volunteer", "day", "visits", "confirmed", "credited", "latest entry"), rows

    def rings(self) -> Shown:
        """Return what goes round."""
        rows: list[Sequence[str]] = [
            (
                format_points(ring.milli_points),
                " → ".join(self._member(each) for each in (*ring.members, ring.members[0])),
                ", ".join(format_points(flow.milli_points) for flow in ring.flows),
                ", ".join(str(flow.entries) for flow in ring.flows),
            )
            for ring in self._found["rings"]
        ]
        title = "4. Points that go round in a circle"
        if not self._found["rings_complete"]:
            title += " (the strongest)"
        return title, ("went round", "members", "flows (points)", "entries"), rows

    def round_at_night(self) -> Shown:
        """Return round points at night."""
        return "5. Round points between 22:00 and 06:00", self.OF_ENTRY, self._entries("round_at_night")

    def confirmations(self) -> Shown:
        """Return confirmations by grid."""
        rows: list[Sequence[str]] = [
            (
                "unknown" if each.small_grid is None else str(each.small_grid),
                each.method,
                *map(str, (each.strength, each.visits, each.minutes)),
            )
            for each in self._found["confirmations"]
        ]
        return "6. Confirmations by small grid", ("grid", "method", "strength", "visits", "minutes"), rows

    def weak_confirmers(self) -> Shown:
        """Return who confirmed weakly."""
        rows: list[Sequence[str]] = [
            (self._member(each.confirmer_ref), *map(str, (each.weak, each.visits, each.weak_minutes)))
            for each in self._found["weak_confirmers"]
        ]
        return "   Who confirmed most weakly", ("confirmer", "weak", "of", "weak minutes"), rows

    def _entries(self, name: str) -> list[Sequence[str]]:
        return [
            (
                str(each.number),
                each.kind if each.reversed_by is None else f"{each.kind} (reversed by {each.reversed_by})",
                self._member(each.actor_ref),
                self._member(each.subject_ref),
                f"{each.occurred_at.astimezone(self._zone):%Y-%m-%d %H:%M}",
                f"{each.recorded_at.astimezone(self._zone):%Y-%m-%d %H:%M}",
                format_points(each.milli_points),
                str(each.minutes),
            )
            for each in self._found[name]
        ]

    def _member(self, ref: UUID) -> str:
        return str(self._found["members"].get(ref, ref.hex[:8]))


def _table(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        console.print(f"\n{title}: none")
        return
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if len(rows) == ROWS:
        console.print(f"only the first {ROWS} are shown")
