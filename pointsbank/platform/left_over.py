"""Processes that outlived whoever started them."""

from __future__ import annotations

import time

import psutil

POLL_SECONDS = 0.02


def ended_within(process: psutil.Process, seconds: float) -> bool:
    """Wait for the end of any process, not only of a child; tell whether it came.

    A zombie has ended: nobody may be there to collect it.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_SECONDS)
