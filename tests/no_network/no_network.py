"""Whoever asks the internet is refused, in this process for good: an audit hook cannot be taken away again.

It sees what Python itself opens: `socket`, and all that stands on it. Sockets of the file system (AF_UNIX) stay.
"""

import socket
import sys
from typing import Any

INTERNET = {socket.AF_INET, socket.AF_INET6}
attempts: list[str] = []
"""What was refused in this process; each test looks that nothing was added."""
_is_blocked = False


class NetworkBlocked(RuntimeError):
    """Tests use no network."""


def block_network() -> None:
    """Refuse from now on."""
    global _is_blocked
    if not _is_blocked:
        _is_blocked = True
        sys.addaudithook(_refuse)


def _refuse(event: str, values: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
        if values[0].family not in INTERNET:
            return
        text = f"{event} {values[1]}"
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        text = f"{event} {values[0]}"
    else:
        return
    attempts.append(text)
    raise NetworkBlocked(text)
