"""Message catalogues: every word a person reads on a page comes from here.

A catalogue is a gettext file, ``<folder>/<locale>/LC_MESSAGES/messages.po``, read once at start; nothing
compiled is kept. A message is asked for by a key that never changes (``elder.balance``,
``error.not_found``) and carries its facts as ``{name}``. A message that depends on a number has
``msgid_plural`` (the same key) and is chosen by the fact ``count``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from babel import Locale
from babel.messages.pofile import read_po

from pointsbank.domain.errors import DomainError
from pointsbank.domain.points import format_points

log = structlog.get_logger(__name__)

LOCALES = ("zh_CN", "zh_Hant_HK", "en")
"""The languages every page is written in, the first one being what is spoken when nothing is known."""

DEFAULT_LOCALE = LOCALES[0]

LANGUAGE_TAGS: Mapping[str, str] = {"zh_CN": "zh-CN", "zh_Hant_HK": "zh-Hant-HK", "en": "en"}
"""Locale → BCP 47 tag, for ``lang`` and ``Content-Language``."""

_TRADITIONAL = re.compile(r"^zh-(hant\b|hk\b|tw\b|mo\b)", re.IGNORECASE)
_NUMBER = re.compile(r"(?:(?<=_)|(?<=^))-?\d+(?=_|$)")

_WORDED = {
    "field": "field",
    "what": "what",
    "state": "state",
    "kind": "kind",
    "item": "item",
    "blocked": "blocked",
}
"""Facts whose value is a stable word: name of the fact → family of the words."""

_MILLI_POINTS = frozenset({"available", "requested", "least", "most", "given"})
"""Facts that are milli-points and are told as points."""

Forms = tuple[str, ...]


def rule_key(rule: str) -> str:
    """Return the key of a rule's words, numbers told as n: ``between_10_and_720`` → ``between_n_and_n``."""
    return _NUMBER.sub("n", rule)


def read_catalogue(path: Path, locale: str) -> dict[str, Forms]:
    """Return key → its plural forms (one for most) from one ``.po`` file; empty translations are left out."""
    with path.open("rb") as file:
        catalogue = read_po(file, locale=locale)
    messages: dict[str, Forms] = {}
    for message in catalogue:
        if not message.id:
            continue
        key = message.id if isinstance(message.id, str) else message.id[0]
        words = message.string or ""
        forms = (words,) if isinstance(words, str) else tuple(words)
        if all(forms):
            messages[key] = forms
    return messages


class Catalogues:
    """The catalogues under one folder, one for each of ``LOCALES``."""

    def __init__(self, folder: Path) -> None:
        """Read every catalogue. folder: holds ``<locale>/LC_MESSAGES/messages.po``."""
        self._messages = {
            locale: read_catalogue(folder / locale / "LC_MESSAGES" / "messages.po", locale)
            for locale in LOCALES
        }
        self._plurals = {locale: Locale.parse(locale).plural_form for locale in LOCALES}

    def keys(self, locale: str) -> frozenset[str]:
        """Return every key that has words in ``locale``."""
        return frozenset(self._messages[locale])

    def has(self, locale: str, key: str) -> bool:
        """Tell whether ``locale`` has words for ``key``."""
        return key in self._messages[locale]

    def forms(self, locale: str, key: str) -> Forms:
        """Return the words for ``key`` in all their plural forms, facts not filled in. Raises KeyError."""
        return self._messages[locale][key]

    def translate(self, locale: str, key: str, /, **facts: object) -> str:
        """Return the words for ``key`` with its ``{facts}`` filled in.

        locale: one of ``LOCALES``. A message that is missing is told by its key and logged, never an error:
        a page with one bare key still serves the person in front of it.
        """
        forms = self._messages[locale].get(key)
        if forms is None:
            log.error("message_missing", locale=locale, key=key)
            return key
        form = forms[0]
        count = facts.get("count")
        if len(forms) > 1 and isinstance(count, int) and self._plurals[locale](count) != "one":
            form = forms[-1]
        return form.format_map(_Facts(facts))

    def explain(self, locale: str, error: DomainError) -> str:
        """Return one sentence that tells a person what ``error`` means and what to do about it."""
        return self.translate(locale, f"error.{error.code}", **self._worded(locale, error.facts()))

    def explain_rule(self, locale: str, rule: str) -> str:
        """Return the words for the ``rule`` of an InvalidValue, such as ``between_10_and_720``."""
        numbers = _NUMBER.findall(rule)
        facts = dict(zip(("first", "second"), numbers, strict=False))
        return self.translate(locale, f"rule.{rule_key(rule)}", **facts)

    def _worded(self, locale: str, facts: Mapping[str, Any]) -> dict[str, object]:
        """Replace the facts that are stable words by what a person calls them."""
        worded: dict[str, object] = dict(facts)
        for name, family in _WORDED.items():
            if isinstance(facts.get(name), str):
                key = f"{family}.{facts[name]}"
                worded[name] = self.translate(locale, key) if self.has(locale, key) else facts[name]
        for name in _MILLI_POINTS & facts.keys():
            worded[name] = format_points(facts[name])
        if isinstance(facts.get("rule"), str):
            worded["rule"] = self.explain_rule(locale, facts["rule"])
        return worded


class _Facts(dict[str, object]):
    """Facts of a message; one that was not given stays as its name, so that a page never fails for it."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def negotiate(accept_language: str | None, *, chosen: str | None = None) -> str:
    """Return the locale to speak: the person's own choice, else their browser's, else the default.

    accept_language: the header's value (RFC 9110 §12.5.4). Any traditional Chinese is answered in
    zh_Hant_HK, any other Chinese in zh_CN.
    """
    if chosen in LOCALES:
        return str(chosen)
    for tag in _by_preference(accept_language or ""):
        if _TRADITIONAL.match(tag):
            return "zh_Hant_HK"
        language = tag.split("-")[0].lower()
        if language == "zh":
            return "zh_CN"
        if language == "en":
            return "en"
    return DEFAULT_LOCALE


def _by_preference(header: str) -> list[str]:
    weighed: list[tuple[float, str]] = []
    for part in header[:500].split(","):
        tag, _, parameters = part.strip().partition(";")
        try:
            weight = float(parameters.strip().removeprefix("q=")) if parameters else 1.0
        except ValueError:
            weight = 0.0
        if tag and weight > 0:
            weighed.append((-weight, tag))
    return [tag for _, tag in sorted(weighed, key=lambda pair: pair[0])]
