"""TCP ports of this machine: which are free, and why one is not."""

from __future__ import annotations

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port of ``host`` (IPv4) that nothing listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def listening_fault(host: str, port: int) -> OSError | None:
    """Return why no server could listen on ``host``:``port`` now; None when one could.

    host: a name or an address, IPv4 or IPv6 (without brackets); every address that a name has is tried, as a
    server would. The fault is a ``socket.gaierror`` when the host is none at all.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        return error
    except UnicodeError:  # a name that cannot even be asked for
        return socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    for family, kind, protocol, _, address in found:
        try:
            _listen_once(family, kind, protocol, address)
        except OSError as error:
            return error
    return None


def _listen_once(
    family: socket.AddressFamily, kind: socket.SocketKind, protocol: int, address: tuple[object, ...]
) -> None:
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: a connection that is only lingering from the last run is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)
        probe.listen(1)


def port_is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen on ``host``:``port`` now."""
    return listening_fault(host, port) is None
