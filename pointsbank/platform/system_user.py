"""What root does so that PostgreSQL, which refuses to run as root, can run as a user of its own.

All of it changes the machine beyond our own directory, so each change is told in one line.
"""

from __future__ import annotations

import pwd
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

SYSTEM_USER = "pointsbank"

Told = Callable[[str], None]


class SystemUserMissing(Exception):
    """There is no such user and it could not be made; the message is one line for the user."""


def system_user(told: Told) -> pwd.struct_passwd:
    """Return the user that servers run as, making it when it is missing. Raises SystemUserMissing."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    try:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            check=True,
            capture_output=True,
            text=True,
        )
        user = pwd.getpwnam(SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError, KeyError):
        pass
    else:
        told(f"as root: made the system user {SYSTEM_USER}, which PostgreSQL runs as")
        return user
    try:  # two starting at once both try to make it; the one that lost finds it here
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise SystemUserMissing(
            f"PostgreSQL does not run as root and the system user {SYSTEM_USER} could not be made: "
            f"run useradd --system {SYSTEM_USER}, or start as another user"
        ) from None


def let_pass(path: Path, told: Told) -> None:
    """Let others pass through every directory above ``path``; they can list none of them."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            told(f"as root: let other users pass through {parent} (chmod o+x), as PostgreSQL's must")


def let_read(tree: Path, told: Told) -> None:
    """Let others read and run a package's files, which a strict umask may have hidden."""
    opened = 0
    for path in (tree, *tree.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if wanted != mode:
            path.chmod(wanted)
            opened += 1
    if opened:
        told(f"as root: let other users read PostgreSQL's files in {tree} (chmod o+rX)")
