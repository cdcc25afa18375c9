"""Why a record of a file was refused: a fact with fields; the one who shows it has the words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Refusal:
    """One record's first fault. ``field``: the column as the import documents it; ``code`` is stable.

    facts: what the words need (numbers, times), as text.
    """

    field: str
    code: str
    facts: Mapping[str, str] = field(default_factory=dict)
