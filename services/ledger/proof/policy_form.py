"""The policy versions under a seal: a digest of what entries are judged by.

SHA-256 over canonical JSON (names sorted, no spaces) of the list of versions in order, each as its number,
the day from which it counts, and its body. Versions are only ever added: an older seal has the digest of a
beginning of the list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

FIELDS = ("version", "effective_from", "body")


def digest(policies: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the digest of versions, each with ``FIELDS`` as they are written in JSON. Raises KeyError."""
    listed = [{name: policy[name] for name in FIELDS} for policy in policies]
    return sha256(json.dumps(listed, sort_keys=True, separators=(",", ":")).encode()).digest()


def digests(policies: Sequence[Mapping[str, Any]]) -> frozenset[bytes]:
    """Return the digest of every beginning of the list. Raises KeyError."""
    return frozenset(digest(policies[:count]) for count in range(len(policies) + 1))
