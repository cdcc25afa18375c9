"""How parts and answers go between processes: a length, then a pickle."""

from __future__ import annotations

import pickle
from typing import BinaryIO

LENGTH_BYTES = 8


def frame(what: object) -> bytes:
    """Return what goes over the pipe."""
    text = pickle.dumps(what, protocol=pickle.HIGHEST_PROTOCOL)
    return len(text).to_bytes(LENGTH_BYTES) + text


def next_frame(stream: BinaryIO) -> object | None:
    """Return the next thing from a pipe, or None at its end."""
    length = stream.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    told: object = pickle.loads(stream.read(int.from_bytes(length)))  # noqa: S301 - from the process that started us
    return told
