"""Why a record of a file was refused: a fact with fields; the one who shows it has the words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """One record's first fault. ``field``: the column as the import documents it; ``code`` is stable.

    facts: what the words need (numbers, times), as text.
    """

    field: str
    code: str
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
