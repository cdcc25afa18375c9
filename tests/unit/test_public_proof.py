"""Whatever was minted is somewhere, and a wrong sum is seen."""

from __future__ import annotations

from pointsbank.domain.accounts import AccountKind, Commodity
from pointsbank.domain.journal import EntryKind
from pointsbank.domain.public_proof import SOURCES, TERMS, Term, public_sums

POINT = Commodity.POINT
BALANCES = [
    (AccountKind.ISSUANCE, POINT, -1_000),
    (AccountKind.MEMBER_AVAILABLE, POINT, 500),
    (AccountKind.MEMBER_HELD, POINT, 100),
    (AccountKind.PARTNER_EARNED, POINT, 120),
    (AccountKind.PARTNER_SETTLED, POINT, 80),
    (AccountKind.EXPIRED, POINT, 150),
    (AccountKind.POOL, POINT, 50),
]
ISSUED = [(EntryKind.EARNING, POINT, 1_030), (EntryKind.ADJUSTMENT, POINT, -30)]


def test_minted_is_the_sum_of_where_it_is() -> None:
    (points, *_) = public_sums(BALANCES, ISSUED)
    assert (points.minted, points.adjusted) == (1_030, 30)
    assert points.terms == {
        Term.AVAILABLE: 500,
        Term.HELD: 100,
        Term.SPENT: 200,
        Term.EXPIRED: 150,
        Term.DONATED: 50,
    }
    assert points.difference == 0
    assert points.sound


def test_a_balance_that_says_more_than_was_minted_is_seen() -> None:
    more = [*BALANCES[:1], (AccountKind.MEMBER_AVAILABLE, POINT, 501), *BALANCES[2:]]
    (points, *_) = public_sums(more, ISSUED)
    assert points.difference == -1
    assert not points.sound


def test_a_source_that_gave_less_than_its_lines_say_is_seen() -> None:
    less = [(AccountKind.ISSUANCE, POINT, -999), *BALANCES[1:]]
    (points, *_) = public_sums(less, ISSUED)
    assert points.difference == 0
    assert not points.sound


def test_commodities_are_summed_apart() -> None:
    points, minutes, fen = public_sums(
        [*BALANCES, (AccountKind.MEMBER_SERVICE, Commodity.MINUTE, 60)], ISSUED
    )
    assert points.sound
    assert (minutes.commodity, minutes.difference) == (Commodity.MINUTE, -60)
    assert fen.sound


def test_every_account_is_a_source_or_has_its_term() -> None:
    assert SOURCES | set(TERMS) == set(AccountKind)
    assert not SOURCES & set(TERMS)
