"""Errors are facts with fields.

A domain error knows nothing of HTTP or of languages (and is not a frozen dataclass only because Python
must set ``__traceback__`` on it). It has a stable ``code`` (part of the API: never
renamed) and named fields; ``api/errors.py`` gives it a status, the message catalogues give it words.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(eq=False)
class DomainError(Exception):
    """Base of every refusal that a user can cause. ``code`` is stable; the fields are its facts."""

    code: ClassVar[str] = "error"

    def facts(self) -> dict[str, Any]:
        """Return the error's fields by name, for messages and for problem details."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self.facts().items())
        return f"{self.code}({facts})"


@dataclass(eq=False)
class InvalidValue(DomainError):
    """A field breaks a rule. ``field`` names it as the user knows it, ``rule`` is a stable word."""

    code: ClassVar[str] = "invalid_value"
    field: str
    rule: str


@dataclass(eq=False)
class NotFound(DomainError):
    """There is no such thing in this community (or it is another community's, which is the same)."""

    code: ClassVar[str] = "not_found"
    what: str


@dataclass(eq=False)
class NotAllowed(DomainError):
    """The actor's roles do not permit this. ``action`` is a stable word."""

    code: ClassVar[str] = "not_allowed"
    action: str


@dataclass(eq=False)
class WrongState(DomainError):
    """The thing is not in a state from which this can be done."""

    code: ClassVar[str] = "wrong_state"
    what: str
    state: str
    action: str
