"""Where a name may lead: to the internet, and to nothing that only the cluster or its machines can reach.

The address that was looked at is the one that is connected to, so a name that leads elsewhere a moment later
(DNS rebinding) gains nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

from sidecar.domain.policy import Decision, allow, deny

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

PLATFORM: Final[Sequence[Network]] = (ip_network("168.63.129.16/32"), ip_network("192.0.0.0/24"))
"""Clouds' own services answer every machine there, metadata included: Azure's, and Oracle's older ones, at
addresses that look public: the second to a Python that has CVE-2024-4032, though RFC 6890 keeps it for protocols.
"""
NAT64: Final = IPv6Network("64:ff9b::/96")
"""An IPv4 address in an IPv6 one (RFC 6052)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """`opened`: internal networks that an operator lets agents reach, a mirror's say. `closed`: public ones not.

    Loopback, link-local and multicast addresses are closed whatever is opened.
    """

    opened: tuple[Network, ...] = ()
    closed: tuple[Network, ...] = ()

    def decide(self, text: str) -> Decision:
        """Raises ValueError for something else than an address."""
        address = _inner(ip_address(text.partition("%")[0]))
        if address.is_loopback or address.is_link_local or address.is_unspecified:
            return deny(f"{text} is a machine's own address")
        if address.is_multicast or _is_in(address, (*PLATFORM, *self.closed)):
            return deny(f"{text} is closed")
        if _is_in(address, self.opened):
            return allow(f"{text} was opened by the operator")
        if not address.is_global:
            return deny(f"{text} is an internal address")
        return allow(f"{text} is outside")


def _inner(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that stands for it."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == each.version and address in each for each in networks)
