"""The listening socket, bound once, before anything else is made, and handed to every web process.

So a port that is taken is found at once, and connections wait instead of being refused while a web process is replaced.
"""

import errno
import socket
import sys

from coreplex.supervisor.trouble import Trouble

BACKLOG = 4096
"""Connections that may wait to be accepted; the system may allow fewer (Linux: `net.core.somaxconn`, 4,096). One that finds no
room is not refused: it believes to be connected, sends, and repeats itself ever more seldom, for seconds after there is room
again."""
UNTAKEN_SECS = 60
"""How long bytes of an answer may lie in the kernel without being taken, also behind a connection that is closed already."""


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. Trouble says what is wrong with the address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise Trouble(f"HOST={host} is not an address ({error.strerror}).", "Try HOST=127.0.0.1 or HOST=0.0.0.0.") from error
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":  # what is accepted from this socket inherits it
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_SECS * 1000)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise _trouble(error, host, port) from error
    return made


def _trouble(error: OSError, host: str, port: int) -> Trouble:
    if error.errno == errno.EADDRINUSE:
        another = port + 1 if port < 65535 else 8888
        return Trouble(f"port {port} on {host} is taken by another program.", f"Choose another: PORT={another} ./scripts/start")
    if error.errno == errno.EACCES:
        return Trouble(f"this account may not listen on port {port}.", "Choose one above 1023: PORT=8888 ./scripts/start")
    if error.errno == errno.EADDRNOTAVAIL:
        return Trouble(f"HOST={host} is not an address of this machine.", "Try HOST=127.0.0.1 or HOST=0.0.0.0.")
    return Trouble(f"cannot listen on {host}:{port}: {error.strerror}.", "Set HOST and PORT to an address of this machine.")
