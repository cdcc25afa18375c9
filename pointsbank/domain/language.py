"""Languages and dialects, by code: what people speak, and what an elder would like to hear."""

from __future__ import annotations

import re

TAISHAN = "yue-x-taishan"
"""台山话. No standard has a code of its own for it: ISO 639-3 counts it to ``yue`` (``toi`` is the Tonga of
Zambia). So it is Cantonese with a private subtag, as BCP 47 lays down (RFC 5646, 2.2.7): ``yue``, and after
``x`` a name that those who exchange the code agree on. Whoever does not know the name still reads ``yue``."""

LANGUAGES = ("yue", "cmn", "hak", "nan", TAISHAN, "en")
"""The languages that are offered to be ticked: 粤语, 普通话, 客家话, 闽南话, 台山话, English."""

LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,2}(-x-[a-z0-9]{2,8})?")
"""ISO 639's code, BCP 47's further parts, one private part: ``yue``, ``zh-hant-hk``, ``yue-x-taishan``."""

LANGUAGE_LENGTH_MAX = 20


def is_language(code: str) -> bool:
    """Tell whether a text has the form of a language's code."""
    return len(code) <= LANGUAGE_LENGTH_MAX and LANGUAGE.fullmatch(code) is not None
