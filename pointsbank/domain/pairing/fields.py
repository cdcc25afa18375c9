"""A document's fields, read strictly: each by its path, so that whoever wrote the file finds the place.

Every reader takes a value and its path and raises InvalidValue with that path as its field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar, overload

from pointsbank.domain.errors import InvalidValue

NUMBER_MAX = 10**9
"""No number of a document is farther from 0: minutes, metres, what a plan is worth but for its sums."""

SUM_MAX = 10**15
LIST_MAX = 1_000_000

T = TypeVar("T")
D = TypeVar("D")
Reader = Callable[[object, str], T]


class _Missing:
    """Stands for a field that must be there."""


MISSING = _Missing()


class Fields:
    """The fields of one object, taken one by one; what is left at the end is not known."""

    def __init__(self, told: object, path: str) -> None:
        """told: what should be an object. Raises InvalidValue."""
        if not isinstance(told, dict):
            raise InvalidValue(field=path or "document", rule="object")
        self._told = told
        self._left = {each for each, value in told.items() if value is not None}
        self.path = path

    def at(self, name: str) -> str:
        """Return the path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        """Tell whether a field is given; null is not."""
        return self._told.get(name) is not None

    @overload
    def take(self, name: str, read: Reader[T]) -> T: ...

    @overload
    def take(self, name: str, read: Reader[T], default: D) -> T | D: ...

    def take(self, name: str, read: Reader[T], default: D | _Missing = MISSING) -> T | D:
        """Return a field read, or the default where it is not given. Raises InvalidValue."""
        self._left.discard(name)
        value = self._told.get(name)
        if value is not None:
            return read(value, self.at(name))
        if isinstance(default, _Missing):
            raise InvalidValue(field=self.at(name), rule="missing")
        return default

    def end(self) -> None:
        """Raise InvalidValue for a field that nobody took."""
        if self._left:
            raise InvalidValue(field=self.at(min(self._left, key=str)), rule="unknown_field")


@contextmanager
def within(path: str) -> Iterator[None]:
    """Name the place of what the domain refuses inside; what is named by its path already stays."""
    try:
        yield
    except InvalidValue as error:
        if path and error.field.startswith(path):
            raise
        raise InvalidValue(field=f"{path}.{error.field}" if path else error.field, rule=error.rule) from None


def text(value: object, path: str) -> str:
    """Read text; what UTF-8 cannot write is refused."""
    if not isinstance(value, str):
        raise InvalidValue(field=path, rule="text")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidValue(field=path, rule="printable")
    return value


def name(value: object, path: str) -> str:
    """Read text that is not blank."""
    if not text(value, path).strip():
        raise InvalidValue(field=path, rule="not_blank")
    return text(value, path)


def number(value: object, path: str, *, most: int = NUMBER_MAX) -> int:
    """Read a whole number within ±``most``; no float, no boolean."""
    if type(value) is not int:
        raise InvalidValue(field=path, rule="whole_number")
    if abs(value) > most:
        raise InvalidValue(field=path, rule="too_large")
    return value


def total(value: object, path: str) -> int:
    """Read a sum of many numbers."""
    return number(value, path, most=SUM_MAX)


def count(value: object, path: str) -> int:
    """Read a number that is not below 0."""
    if number(value, path) < 0:
        raise InvalidValue(field=path, rule="not_negative")
    return number(value, path)


def flag(value: object, path: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise InvalidValue(field=path, rule="true_or_false")
    return value


def anything(value: object, path: str) -> object:  # noqa: ARG001 - a reader like the others
    """Take a value as it is."""
    return value


def items(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """Return the reader of a list."""

    def read_items(value: object, path: str) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise InvalidValue(field=path, rule="list")
        if len(value) > LIST_MAX:
            raise InvalidValue(field=path, rule="too_many")
        return tuple(read(each, f"{path}[{at}]") for at, each in enumerate(value))

    return read_items


def by_name(read: Reader[T]) -> Reader[dict[str, T]]:
    """Return the reader of an object whose names are ids."""

    def read_all(value: object, path: str) -> dict[str, T]:
        if not isinstance(value, Mapping):
            raise InvalidValue(field=path, rule="object")
        return {text(key, path): read(each, f"{path}.{key}") for key, each in value.items()}

    return read_all


def word(words: type[T]) -> Reader[T]:
    """Return the reader of one of an enumeration's words."""

    def read_word(value: object, path: str) -> T:
        try:
            return words(value)  # type: ignore[call-arg]
        except (ValueError, TypeError):
            raise InvalidValue(field=path, rule="known_value") from None

    return read_word
