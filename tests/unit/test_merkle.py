"""Merkle trees agree with the definition in RFC 9162, and proofs of what is not so do not hold."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain import merkle

KNOWN = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
KNOWN_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""The reference vectors of Certificate Transparency's own implementation: roots of 1 to 8 leaves."""


def naive_root(data: list[bytes]) -> bytes:
    """The definition of section 2.1.1, word for word."""
    if not data:
        return hashlib.sha256(b"").digest()
    if len(data) == 1:
        return hashlib.sha256(b"\x00" + data[0]).digest()
    k = 1
    while k * 2 < len(data):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(data[:k]) + naive_root(data[k:])).digest()


def naive_path(place: int, data: list[bytes]) -> list[bytes]:
    """The definition of section 2.1.3.1."""
    if len(data) == 1:
        return []
    k = 1
    while k * 2 < len(data):
        k *= 2
    if place < k:
        return [*naive_path(place, data[:k]), naive_root(data[k:])]
    return [*naive_path(place - k, data[k:]), naive_root(data[:k])]


def leaves_of(data: list[bytes]) -> list[bytes]:
    return [merkle.leaf_hash(each) for each in data]


def roots(data: list[bytes], spans: list[merkle.Span]) -> list[bytes]:
    return [merkle.root(leaves_of(data[start:end])) for start, end in spans]


datas = st.lists(st.binary(max_size=4), min_size=1, max_size=70)


def test_the_roots_are_those_of_the_reference_implementation() -> None:
    for size, expected in enumerate(KNOWN_ROOTS, start=1):
        assert merkle.root(leaves_of(KNOWN[:size])).hex() == expected


def test_a_tree_without_leaves_has_the_root_the_standard_gives_it() -> None:
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(datas)
def test_a_root_is_what_the_definition_gives(data: list[bytes]) -> None:
    assert merkle.root(leaves_of(data)) == naive_root(data)


@given(datas, st.data())
def test_an_inclusion_proof_is_what_the_definition_gives_and_holds(
    data: list[bytes], draw: st.DataObject
) -> None:
    place = draw.draw(st.integers(0, len(data) - 1))
    proof = roots(data, merkle.inclusion_spans(place, len(data)))
    assert proof == naive_path(place, data)
    assert merkle.holds_inclusion(merkle.leaf_hash(data[place]), place, len(data), proof, naive_root(data))


@given(datas, st.data())
def test_a_proof_with_anything_changed_does_not_hold(data: list[bytes], draw: st.DataObject) -> None:
    size, place = len(data), draw.draw(st.integers(0, len(data) - 1))
    leaf, root = merkle.leaf_hash(data[place]), naive_root(data)
    proof = naive_path(place, data)
    assert not merkle.holds_inclusion(merkle.leaf_hash(b"another"), place, size, proof, root)
    assert not merkle.holds_inclusion(leaf, place, size, [*proof, root], root)
    assert not merkle.holds_inclusion(leaf, size, size, proof, root)
    assert not merkle.holds_inclusion(leaf, place, size, proof, merkle.EMPTY)
    if proof:
        assert not merkle.holds_inclusion(leaf, place, size, proof[:-1], root)
        changed = draw.draw(st.integers(0, len(proof) - 1))
        wrong = [merkle.EMPTY if at == changed else step for at, step in enumerate(proof)]
        assert not merkle.holds_inclusion(leaf, place, size, wrong, root)


@given(datas, st.data())
def test_a_consistency_proof_holds_for_the_older_tree_and_for_no_other(
    data: list[bytes], draw: st.DataObject
) -> None:
    new = len(data)
    old = draw.draw(st.integers(1, new))
    proof = roots(data, merkle.consistency_spans(old, new))
    older, newer = naive_root(data[:old]), naive_root(data)
    assert merkle.holds_consistency(old, new, older, newer, proof)
    assert not merkle.holds_consistency(old, new, merkle.EMPTY, newer, proof)
    assert not merkle.holds_consistency(old, new, older, merkle.EMPTY, proof)
    assert not merkle.holds_consistency(old, new, older, newer, [*proof, older])
    if proof:
        assert not merkle.holds_consistency(old, new, older, newer, proof[:-1])


def test_consistency_proofs_are_those_of_the_reference_implementation() -> None:
    proof = roots(KNOWN, merkle.consistency_spans(6, 8))
    assert [step.hex() for step in proof] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert roots(KNOWN, merkle.consistency_spans(1, 1)) == []


@given(datas)
def test_a_frontier_has_the_root_at_every_size_on_the_way(data: list[bytes]) -> None:
    frontier = merkle.Frontier()
    for size, leaf in enumerate(leaves_of(data), start=1):
        frontier.add(leaf)
        assert frontier.root() == naive_root(data[:size])


@given(st.integers(0, 5), st.integers(1, 15))
def test_a_frontier_of_whole_subtrees_takes_what_is_left_over(whole: int, rest: int) -> None:
    data = [bytes([each]) for each in range(whole * 16 + rest)]
    frontier = merkle.Frontier()
    for at in range(whole):
        frontier.add(naive_root(data[at * 16 : at * 16 + 16]), 4)
    assert frontier.root(naive_root(data[whole * 16 :])) == naive_root(data)


def test_a_subtree_is_refused_where_it_cannot_stand() -> None:
    frontier = merkle.Frontier()
    frontier.add(merkle.EMPTY)
    with pytest.raises(ValueError, match="multiple"):
        frontier.add(merkle.EMPTY, 3)


@given(st.integers(1, 400))
def test_whole_subtrees_follow_one_another_and_make_up_the_whole(size: int) -> None:
    spans = merkle.whole_subtrees((0, size))
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == size
    lengths = [end - start for start, end in spans]
    assert all(not length & (length - 1) for length in lengths)
    assert lengths == sorted(set(lengths), reverse=True)


@pytest.mark.parametrize(("place", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(place: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        merkle.inclusion_spans(place, size)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3)])
def test_there_is_no_proof_from_a_tree_that_is_empty_or_larger(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="older"):
        merkle.consistency_spans(old, new)
    assert not merkle.holds_consistency(old, new, merkle.EMPTY, merkle.EMPTY, [])
