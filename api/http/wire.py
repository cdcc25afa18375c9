"""What every request and answer of the JSON API is made of: strict shapes, whole numbers, aware moments.

Amounts are integers: milli-points (1,000 are one point), minutes, fen. A JSON ``true``, ``4.0`` or ``"4"``
is no integer here. Unknown fields are refused, so that a misspelt one is never lost in silence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from litestar.params import QueryParameter
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

PAGE_DEFAULT = 50
PAGE_MAX = 200
NUMBER_MAX = 2**53 - 1
"""Largest number a cursor may be: what every JSON reader keeps exactly."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
PRINTABLE = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"


YEARS = range(1900, 3000)
"""Years that a moment may lie in, in UTC: with room for any reckoning before and after."""


def plausible(moment: datetime) -> bool:
    """Tell whether an aware moment lies in ``YEARS``; some that can be written lie in no calendar at all."""
    try:
        return moment.astimezone(UTC).year in YEARS
    except OverflowError:
        return False


def broken(rule: str) -> PydanticCustomError:
    """Return the error of a validator: ``rule`` is a stable word."""
    return PydanticCustomError(rule, rule)


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """A JSON integer from ``low`` to ``high``, both included: ``Annotated[int, WholeNumber(1, 9)]``."""

    low: int
    high: int

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        number = core_schema.int_schema(strict=True, ge=self.low, le=self.high)
        return core_schema.no_info_before_validator_function(self._checked, number)

    def _checked(self, value: object) -> int:
        if type(value) is not int:
            raise broken("whole_number")
        if not self.low <= value <= self.high:
            raise broken(f"between_{self.low}_and_{self.high}")
        return value


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise broken("moment")
    try:
        told = datetime.fromisoformat(value)
    except ValueError:
        raise broken("moment") from None
    if told.tzinfo is None:
        raise broken("timezone")
    if not plausible(told):
        raise broken("plausible_date")
    return told


def _day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise broken("day")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise broken("day") from None


Moment = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""An instant with its offset, as RFC 3339."""

Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
"""A calendar day in the community's time zone."""


def _flag(value: object) -> bool:
    if type(value) is not bool:
        raise broken("true_or_false")
    return value


Flag = Annotated[bool, BeforeValidator(_flag), WithJsonSchema({"type": "boolean"})]
"""A JSON ``true`` or ``false``, and nothing that is only taken for one."""


def text(longest: int) -> StringConstraints:
    """Return what makes a text of 1 to ``longest`` characters, trimmed, without control codes."""
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=longest, pattern=PRINTABLE)


def _hex(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


Digest = Annotated[str, BeforeValidator(_hex), Field(min_length=64, max_length=64)]
"""A SHA-256 in hexadecimal."""

Code = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[a-z0-9_.-]+$")]
"""The code of a service kind, partner or item."""


class Asked(BaseModel):
    """Base of request bodies."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(BaseModel):
    """Base of answers, built from what the services return."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    @classmethod
    def of(cls, info: object) -> Self:
        """Return the answer for what a service returned (an object whose attributes have these names)."""
        return cls.model_validate(info)


Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="how many at most")]
AfterNumber = Annotated[
    int, QueryParameter(ge=0, le=NUMBER_MAX, description="`next_after` of the page before")
]
AfterId = Annotated[UUID | None, QueryParameter(description="`next_after` of the page before")]
