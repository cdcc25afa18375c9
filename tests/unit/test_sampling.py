"""The draw: anybody's to repeat, without replacement, and by weight."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.sampling import SAMPLE_MAX, Draw, best_ticket, require_weights, ticket


def drawn(seed: str, weights: dict[int, int], size: int) -> list[int]:
    draw = Draw(seed, 1, size)
    for number, weight in weights.items():
        draw.offer(number, weight)
    return draw.drawn()


def test_a_ticket_is_what_sha256sum_says() -> None:
    done = subprocess.run(["sha256sum"], input=b"lantern:1:17:2", capture_output=True, check=True)
    assert f"{ticket('lantern', 1, 17, 2):064x}" == done.stdout.decode().split()[0]


@given(
    seed=st.text(min_size=1, max_size=20).filter(str.isprintable),
    weights=st.dictionaries(st.integers(1, 10**9), st.integers(0, 16), max_size=60),
    size=st.integers(1, 20),
    order=st.randoms(use_true_random=False),
)
def test_a_draw_takes_the_entries_with_the_best_tickets_in_whatever_order_they_come(
    seed: str, weights: dict[int, int], size: int, order: random.Random
) -> None:
    able = {number: weight for number, weight in weights.items() if weight}
    expected = sorted(able, key=lambda number: best_ticket(seed, 1, number, able[number]))[:size]
    shuffled = list(weights.items())
    order.shuffle(shuffled)
    assert drawn(seed, weights, size) == drawn(seed, dict(shuffled), size) == expected


def test_another_seed_or_community_draws_others() -> None:
    weights = dict.fromkeys(range(1, 200), 1)
    other = Draw("a", 2, 10)
    for number, weight in weights.items():
        other.offer(number, weight)
    assert len({tuple(drawn("a", weights, 10)), tuple(drawn("b", weights, 10)), tuple(other.drawn())}) == 3


def test_entries_are_drawn_as_often_as_weighted_sampling_without_replacement_says() -> None:
    """Chi-square over all ordered draws of 2 out of 3, against the product of remaining shares."""
    weights = {1: 1, 2: 3, 3: 8}
    runs = 6_000
    seen = Counter(tuple(drawn(f"run {each}", weights, 2)) for each in range(runs))
    chi_square = 0.0
    for first, second in permutations(weights, 2):
        share = weights[first] / 12 * weights[second] / (12 - weights[first])
        chi_square += (seen[first, second] - runs * share) ** 2 / (runs * share)
    assert chi_square < 20.5  # 5 degrees of freedom, 1 in 1,000; the draw is fixed by its seeds


def test_what_takes_part_is_counted() -> None:
    draw = Draw("a", 1, 2)
    for number, weight in {1: 4, 2: 0, 3: 1}.items():
        draw.offer(number, weight)
    assert (draw.seen, draw.tickets, len(draw.drawn())) == (2, 5, 2)


@pytest.mark.parametrize(
    ("seed", "size", "rule"),
    [
        ("", 1, "1_to_100_characters"),
        ("x" * 101, 1, "1_to_100_characters"),
        ("two\nlines", 1, "1_to_100_characters"),
        ("a", 0, "between_1_and_500"),
        ("a", SAMPLE_MAX + 1, "between_1_and_500"),
    ],
)
def test_a_seed_fits_a_line_and_a_sample_a_pile_of_paper(seed: str, size: int, rule: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Draw(seed, 1, size)
    assert refused.value.rule == rule


@pytest.mark.parametrize(
    "weights",
    [
        {4: 1},
        {4: 0, 3: 0, 2: 0, 1: 0, 0: 0},
        {4: -1, 3: 1, 2: 1, 1: 1, 0: 1},
        {4: 65, 3: 1, 2: 1, 1: 1, 0: 1},
    ],
)
def test_weights_are_whole_and_there_for_every_strength(weights: dict[int, int]) -> None:
    with pytest.raises(InvalidValue):
        require_weights(weights)
