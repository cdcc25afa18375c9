"""What upholding or dismissing a complaint or an appeal brings, in sentences said before the button."""

from __future__ import annotations

from dataclasses import dataclass

from api.web.words import Words
from services.care.service import Case


@dataclass(frozen=True, slots=True)
class OutlookTold:
    """The sentences: what follows if it is upheld, and if it is dismissed."""

    upheld: list[str]
    dismissed: list[str]


def outlook_told(words: Words, case: Case) -> OutlookTold:
    """Return what follows from either decision that can be taken now."""
    if case.complaint.appeal is not None:
        return OutlookTold(_given_back(words, case), [words.t("outlook.appeal_dismissed")])
    outlook = case.outlook
    upheld = []
    if outlook.entry_number is not None:
        upheld.append(
            words.t(
                "outlook.reversal",
                number=outlook.entry_number,
                length=words.length(outlook.minutes),
                points=words.points(outlook.milli_points),
            )
        )
    if outlook.cancels:
        upheld.append(words.t("outlook.cancelled", length=words.length(case.visit.minutes or 0)))
    if outlook.bar is not None and outlook.until is not None:
        key = {"backfill": "outlook.bar_backfill", "service": "outlook.bar_service"}[outlook.bar]
        upheld.append(words.t(key, days=outlook.days, day=words.day(outlook.until)))
    dismissed = "outlook.waits_again" if case.visit.state == "disputed" else "outlook.stays"
    return OutlookTold(upheld or [words.t("outlook.only_noted")], [words.t(dismissed)])


def _given_back(words: Words, case: Case) -> list[str]:
    outlook = case.outlook
    told = []
    if outlook.entry_number is not None:
        key = "outlook.given_back" if outlook.posted else "outlook.reversal_refused"
        told.append(
            words.t(
                key,
                number=outlook.entry_number,
                length=words.length(outlook.minutes),
                points=words.points(outlook.milli_points),
            )
        )
    if outlook.cancels:
        told.append(words.t("outlook.stands_again"))
    if outlook.bar is not None:
        told.append(words.t("outlook.bar_lifted"))
    return told or [words.t("outlook.only_noted")]
