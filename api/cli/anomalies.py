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
from services.audit.views import EntryBrief, Period
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
    return {
        "self_kinds": await auditing.self_acted(uow, period),
        "self_acted": (await auditing.self_entries(uow, period, limit=ROWS)).items,
        "reversals": await auditing.reversal_groups(uow, period),
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
    who = found["members"]
    zone = ZoneInfo(found["timezone"])

    def member(ref: UUID) -> str:
        return str(who.get(ref, ref.hex[:8]))

    def entry(each: EntryBrief) -> Sequence[str]:
        return (
            str(each.number),
            each.kind,
            member(each.actor_ref),
            member(each.subject_ref),
            f"{each.occurred_at.astimezone(zone):%Y-%m-%d %H:%M}",
            f"{each.recorded_at.astimezone(zone):%Y-%m-%d %H:%M}",
            format_points(each.milli_points),
            str(each.minutes),
        )

    of_entry = ("entry", "kind", "actor", "subject", "happened", "recorded", "points", "minutes")
    counted = ", ".join(
        f"{each.kind} {each.entries}{'' if each.expected else ' (!)'}" for each in found["self_kinds"]
    )
    _table(
        console,
        f"1. Entries about oneself, where nobody expects it (all: {counted or 'none'})",
        of_entry,
        [entry(each) for each in found["self_acted"]],
    )
    _table(
        console,
        "2. Reversals by what they take back, reason and who decided",
        ("took back", "reason", "actor", "entries", "points", "minutes"),
        [
            (
                each.reversed_kind,
                each.reason or "none given",
                member(each.actor_ref),
                str(each.entries),
                format_points(each.milli_points),
                str(each.minutes),
            )
            for each in found["reversals"]
        ],
    )
    _table(
        console,
        f"3. Volunteers' days of more than {found['threshold_minutes']} minutes",
        ("volunteer", "day", "visits", "confirmed", "credited", "latest entry"),
        [
            (
                member(each.volunteer_ref),
                f"{each.day}",
                str(each.visits),
                str(each.minutes),
                str(each.credited_minutes),
                str(each.last_entry),
            )
            for each in found["long_days"]
        ],
    )
    _table(
        console,
        "4. Points that go round in a circle" + ("" if found["rings_complete"] else " (the strongest)"),
        ("went round", "members", "flows (points)", "entries"),
        [
            (
                format_points(ring.milli_points),
                " → ".join(member(each) for each in (*ring.members, ring.members[0])),
                ", ".join(format_points(flow.milli_points) for flow in ring.flows),
                ", ".join(str(flow.entries) for flow in ring.flows),
            )
            for ring in found["rings"]
        ],
    )
    _table(
        console,
        "5. Round points between 22:00 and 06:00",
        of_entry,
        [entry(each) for each in found["round_at_night"]],
    )
    _table(
        console,
        "6. Confirmations by small grid",
        ("grid", "method", "strength", "visits", "minutes"),
        [
            (
                "unknown" if each.small_grid is None else str(each.small_grid),
                each.method,
                str(each.strength),
                str(each.visits),
                str(each.minutes),
            )
            for each in found["confirmations"]
        ],
    )
    _table(
        console,
        "   Who confirmed most weakly",
        ("confirmer", "weak", "of", "weak minutes"),
        [
            (member(each.confirmer_ref), str(each.weak), str(each.visits), str(each.weak_minutes))
            for each in found["weak_confirmers"]
        ],
    )


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
