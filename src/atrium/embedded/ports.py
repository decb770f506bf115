"""Ports on the loopback interface."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

# Below what systems hand out to outgoing connections, one of which could take the port of a stopped server.
FIRST, COUNT = 20_000, 12_000
LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError:
        return False
    return True


def candidates(folder: Path, name: str, preferred: int | None = None) -> Iterator[int]:
    """Free ports, first the one of last time, then a row that each folder begins elsewhere."""
    if preferred and is_free(preferred):
        yield preferred
    seed = int.from_bytes(hashlib.sha256(f"{folder}:{name}".encode()).digest()[:4])
    for step in range(COUNT):
        port = FIRST + (seed + step * 7) % COUNT
        if is_free(port):
            yield port
