"""Files of ``pointsbank match``: what they hold, and faults told by their place in the user's language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from api.web.words import catalogues
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.pairing.fields import Fields, anything
from pointsbank.domain.pairing.form import read_instance
from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.plan import Plan
from pointsbank.domain.pairing.plan_form import read_plan
from pointsbank.platform.sheets import SheetUnreadable, encoding_of
from services.matching.sheet_files import InvalidCell, Table, place_of, read_requests, read_volunteers


@dataclass(frozen=True, slots=True)
class Files:
    """Reads files for one user. Every fault is a click.ClickException of one line."""

    locale: str
    tables: dict[str, Table] = field(default_factory=dict)

    def t(self, key: str, **facts: object) -> str:
        """Return the words for a key."""
        return catalogues.translate(self.locale, key, **facts)

    def instance(self, file: Path, volunteers: Path | None) -> Instance:
        """Return what is to be paired: one JSON document, or two tables."""
        with self.faults(file):
            if is_json(file):
                document = self.json(file)
            elif volunteers is None:
                raise click.ClickException(self.t("match.fault.two_files"))
            else:
                self.tables["requests"] = read_requests(file)
                document = {"requests": self.tables["requests"].documents}
            if volunteers is not None:
                document["volunteers"] = self._volunteers(volunteers)
            return read_instance(document)

    def _volunteers(self, file: Path) -> Any:
        if is_json(file):
            told = self.json(file)
            return told.get("volunteers") if isinstance(told, dict) else told
        self.tables["volunteers"] = read_volunteers(file)
        return self.tables["volunteers"].documents

    def run(self, file: Path) -> tuple[Instance, Plan, Any]:
        """Return a stored run: its instance, its plan, and the plan as the document tells it."""
        with self.faults(file):
            given = Fields(self.json(file), "")
            given.take("summary", anything, None)
            told = given.take("plan", anything)
            instance = given.take("instance", lambda value, _: read_instance(value))
            given.end()
            return instance, read_plan(told), told

    def json(self, file: Path) -> Any:
        """Return what a JSON file says."""
        text = file.read_text(encoding=encoding_of(file))
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            facts = {"file": file, "line": error.lineno, "column": error.colno}
            raise click.ClickException(self.t("match.fault.not_json", **facts)) from None
        except (ValueError, RecursionError):  # a number of thousands of digits, a list in a list in a list
            raise click.ClickException(self.t("match.fault.not_json", file=file, line=1, column=1)) from None

    @contextmanager
    def faults(self, file: Path) -> Iterator[None]:
        """Tell faults by file, row and column, or by the path in the document."""
        try:
            yield
        except SheetUnreadable as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            raise click.ClickException(f"{error.filename or file}: {error.strerror or error}") from None
        except InvalidCell as error:
            raise click.ClickException(self._at_cell(error)) from None
        except InvalidValue as error:
            place = place_of(error.field, self.tables)
            if place is not None:
                raise click.ClickException(self._at_cell(InvalidCell(place, error.rule))) from None
            rule = catalogues.explain_rule(self.locale, error.rule)
            facts = {"file": file, "place": error.field, "rule": rule}
            raise click.ClickException(self.t("match.fault.in_file", **facts)) from None

    def _at_cell(self, error: InvalidCell) -> str:
        return self.t(
            "match.fault.at_cell",
            file=error.place.path,
            row=error.place.row,
            column=error.place.column,
            rule=catalogues.explain_rule(self.locale, error.rule),
        )


def is_json(file: Path) -> bool:
    """Tell whether a file is JSON rather than a table, by how it begins."""
    with file.open("rb") as opened:
        start = opened.read(4_096).removeprefix(b"\xef\xbb\xbf").lstrip()
    return start[:1] in (b"{", b"[")
