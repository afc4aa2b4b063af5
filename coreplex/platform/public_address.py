"""Where a caller may lead the server: addresses of the public internet, and networks that a setting opens.

The ranges are IANA's special-purpose ones (RFC 6890 and its registries), listed here, because what `ipaddress` calls global
differs between versions of Python. Of IPv6 only 2000::/3 is public at all, which leaves out every spelling of an IPv4 address but
6to4 and Teredo: those are refused too, whatever they hold.
"""

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from coreplex.errors.tree import Message, WrongValue

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

MAX_URL = 2000
GLOBAL_UNICAST = IPv6Network("2000::/3")
NOT_PUBLIC = tuple(
    ip_network(one)
    for one in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # public by its number, and in Azure the host's own
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*")
_PRINTABLE = re.compile(r"[!-~]+")
_NUMBER = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)")
PORTS = {"http": 80, "https": 443}
NO_PORT = Message("url_port", "must have a port from 1 to 65535, or none")
NO_HOST = Message("url_host", "names no host that can be looked up")


@dataclass(frozen=True)
class Target:
    """A URL in its parts. `host` is a name without the dot at its end, or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """What the header Host says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def literal(self) -> Address | None:
        """The address the host is, unless it is a name that must be looked up; `localhost` is one (RFC 6761)."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return IPv4Address("127.0.0.1")
        try:
            return ip_address(self.host)
        except ValueError:
            return None


def target_of(url: str) -> Target:
    """The parts of an http(s) URL, spelled in the one way that nobody reads differently. Raises WrongValue."""
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise WrongValue(
            Message("url_characters", "must be printable ASCII without blanks: write others as %XX, and such names as xn--…")
        )
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in PORTS or not rest:
        raise WrongValue(Message("url_not_http", "must begin with http:// or https://"))
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise WrongValue(NO_HOST) from None
    try:
        port = parts.port
    except ValueError:
        raise WrongValue(NO_PORT) from None
    if "@" in parts.netloc:
        raise WrongValue(Message("url_user", "must have no user and no password before the host"))
    if "#" in url:
        raise WrongValue(Message("url_fragment", "must end before the #: what follows is never sent"))
    if port == 0:
        raise WrongValue(NO_PORT)
    scheme = scheme.lower()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme, _host(host.removesuffix("."), "[" in parts.netloc), port or PORTS[scheme], path)


def _host(host: str, bracketed: bool) -> str:
    """The name or address, in one spelling. Raises WrongValue for what resolvers would read as an address, and we would not."""
    last = host.rpartition(".")[2]
    if bracketed or _NUMBER.fullmatch(last):
        try:
            return str(IPv6Address(host) if bracketed and "%" not in host else IPv4Address(host))
        except ValueError:
            raise WrongValue(
                Message("url_address", "writes the address of its host in no usual way: write 198.51.100.7 or [2001:db8::7]")
            ) from None
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise WrongValue(NO_HOST)
    return host


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    return tuple(ip_network(one) for one in texts)


def may_go_to(address: Address, opened: Iterable[Network] = ()) -> bool:
    """Whether the server may be led there: a public address that is not its own, or one of an opened network."""
    if any(address in network for network in opened):
        return True
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    return not any(address in network for network in NOT_PUBLIC) and not is_own(address)


def is_own(address: Address) -> bool:
    """Whether this machine has the address: the kernel would speak to it from itself. Nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))
        except OSError:
            return False  # no way leads there
        return ip_address(probe.getsockname()[0]) == address
