"""Proof: Merkle tree, seals, verification, and what can be checked without us."""
