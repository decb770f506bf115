"""Where requests may go: the name is resolved here, every address is looked at, and the connection goes to one of them.

Nobody resolves the name a second time, so a name whose address changes after the look leads nowhere else. What is
refused is everything that is not a public address of one machine; WEBHOOK_ALLOWED_NETWORKS opens networks of one's own.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx

from atrium.core.config import Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

LONGEST_URL = 2048
CHECK_SECONDS = 5.0
RESOLVERS = 32
TRIED = 4
GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
INSIDE_IPV6 = tuple(
    # Tunnels and translations, whose real target is another address; documentation; IETF's own.
    ipaddress.IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "64:ff9b::/96", "64:ff9b:1::/48")
)
INSIDE_IPV4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)


class TargetRefused(Exception):
    """The sentence says why nothing is sent there."""


class TargetUnreachable(Exception):
    """The name leads nowhere at the moment."""


def is_public(address: Address) -> bool:
    """One machine of the internet, reached directly."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in INSIDE_IPV4)
    inside = any(address in network for network in INSIDE_IPV6)
    return address in GLOBAL_IPV6 and address.is_global and not inside and address.scope_id is None


def read_networks(settings: Settings) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in settings.webhook_allowed_networks)


def check_url(url: str, settings: Settings) -> httpcore.URL:
    """What a request names; raises TargetRefused for what no resolution could mend."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise TargetRefused("it is not a URL") from None
    schemes = ("https",) if settings.is_production else ("https", "http")
    if len(url) > LONGEST_URL:
        raise TargetRefused(f"it is longer than {LONGEST_URL} characters")
    if parsed.scheme not in schemes:
        raise TargetRefused(f"it must begin with {' or '.join(f'{one}://' for one in schemes)}")
    if parsed.userinfo:
        raise TargetRefused("it must not hold a name or a password: they would stand in logs on the way")
    if parsed.fragment or not parsed.raw_host or not 0 < (parsed.port or 1) < 65536:
        raise TargetRefused("it must name a host, no fragment, and a port below 65536 if any")
    port = parsed.port or (443 if parsed.scheme == "https" else 80)
    return httpcore.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=port, target=parsed.raw_path)


@dataclass
class Resolver:
    """The system's resolver in threads of its own: names that hang hold up neither each other nor anything else."""

    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(RESOLVERS, "webhook-names"))

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self.threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(where[4][0]) for where in found]


@dataclass
class Targets:
    """What this process may connect to."""

    settings: Settings
    resolve: Resolve = field(default_factory=Resolver)
    tls: ssl.SSLContext = field(default_factory=httpx.create_ssl_context)

    async def check(self, url: str) -> None:
        """Whether something could be sent there now; raises TargetRefused or TargetUnreachable."""
        named = check_url(url, self.settings)
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self.addresses(named.host.decode(), named.port or 0)
        except TimeoutError:
            raise TargetUnreachable(f"the name of the host was not resolved in {CHECK_SECONDS:g} seconds") from None

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where a name leads. One address that is refused refuses the name: which one is taken is chance."""
        try:
            found = list(dict.fromkeys(await self.resolve(host, port)))
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise TargetUnreachable("the name of the host is not known")
        if refused := [text for text in found if not self._is_allowed(text)]:
            raise TargetRefused(f"it leads to {refused[0]}, which is no public address")
        return found[:TRIED]

    def _is_allowed(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        seen = mapped or address
        return is_public(address) or _is_within(seen, read_networks(self.settings))

    def pool(self) -> httpcore.AsyncConnectionPool:
        """For one request: nothing is kept open, so that every one looks again."""
        return httpcore.AsyncConnectionPool(
            ssl_context=self.tls, max_keepalive_connections=0, network_backend=_Checked(self)
        )


def _is_within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were looked at; TLS still verifies the certificate against the name."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        *others, last = await self._targets.addresses(host, port)
        for address in others:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(last, port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *_given: Any, **_more: Any) -> httpcore.AsyncNetworkStream:
        raise TargetRefused("it is no address of the network")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def targets_of(runtime: Any) -> Targets:
    found: Targets | None = runtime.parts.get("webhook targets")
    if found is None:
        found = runtime.parts["webhook targets"] = Targets(runtime.settings)
    return found
