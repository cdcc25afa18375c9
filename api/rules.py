"""Which field broke which rule: the framework's and pydantic's words turned into stable ones.

A rule is a word that programs may rely on and the catalogues explain (``rule.<word>``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from litestar.exceptions import ValidationException

BODY = "body"

PYDANTIC_RULES: Mapping[str, str] = {
    "missing": "missing",
    "extra_forbidden": "unknown_field",
    "model_type": "object",
    "model_attributes_type": "object",
    "dict_type": "object",
    "list_type": "list",
    "string_type": "text",
    "string_sub_type": "text",
    "string_unicode": "text",
    "string_pattern_mismatch": "characters",
    "enum": "known_value",
    "literal_error": "known_value",
    "uuid_type": "uuid",
    "uuid_parsing": "uuid",
    "uuid_version": "uuid",
}

PARAMETER_RULES: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"missing required field"), "missing"),
    (re.compile(r"Missing required"), "missing"),
    (re.compile(r"Expected `int` >= (-?\d+)"), "at_least_{0}"),
    (re.compile(r"Expected `int` <= (-?\d+)"), "at_most_{0}"),
    (re.compile(r"`str` of length >= 1$"), "not_blank"),
    (re.compile(r"`str` of length >= (\d+)"), "at_least_{0}_characters"),
    (re.compile(r"`str` of length <= (\d+)"), "at_most_{0}_characters"),
    (re.compile(r"matching regex"), "characters"),
    (re.compile(r"Expected `int|[Ii]nteger"), "whole_number"),
    (re.compile(r"UUID|uuid"), "uuid"),
    (re.compile(r"encoded date\b"), "day"),
    (re.compile(r"RFC3339|ISO8601|`datetime`"), "moment"),
    (re.compile(r"`date`"), "day"),
    (re.compile(r"enum|Enum"), "known_value"),
)

Field = tuple[str, str]


def invalid_fields(error: ValidationException) -> list[Field]:
    """Return (field, rule) for everything the framework found wrong, in its order."""
    cause = error.__cause__
    detailed: Sequence[Mapping[str, Any]] | None = getattr(cause, "errors", None)
    if detailed is not None:
        return [_from_pydantic(each) for each in detailed]
    listed = error.extra if isinstance(error.extra, list) else []
    found = [_from_parameter(each) for each in listed if isinstance(each, Mapping)]
    if found:
        return found
    # A parameter that is not there at all is told in words only.
    named = re.search(r"[Mm]issing required \w+ parameter '([^']+)'", error.detail)
    return [(named.group(1) if named else "request", "missing" if named else "readable")]


def _from_pydantic(error: Mapping[str, Any]) -> Field:
    place = ".".join(str(part) for part in error["loc"] if part != "data") or BODY
    kind, context = str(error["type"]), error.get("ctx") or {}
    if kind == "string_too_short":
        shortest = context.get("min_length", 1)
        return place, "not_blank" if shortest == 1 else f"at_least_{shortest}_characters"
    if kind == "string_too_long":
        return place, f"at_most_{context.get('max_length')}_characters"
    return place, PYDANTIC_RULES.get(kind, kind)  # a type of our own is the rule itself


def _from_parameter(error: Mapping[str, Any]) -> Field:
    said = str(error.get("message", ""))
    place = str(error.get("key", BODY))
    if place == "data":
        place = BODY
    for pattern, rule in PARAMETER_RULES:
        if match := pattern.search(said):
            return place, rule.format(*match.groups())
    return place, "readable"
