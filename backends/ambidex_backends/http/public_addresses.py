"""`is_public`: whether an address is that of a host on the public internet. Pure; IANA's registries, not Python's.

https://www.iana.org/assignments/iana-ipv4-special-registry and .../iana-ipv6-special-registry, as of 2026. What
`ipaddress` calls global differs between versions of Python, and counts multicast and the ways over to IPv4 in.
"""

from __future__ import annotations

import ipaddress

_NOT_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by the customers of a provider
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's own services, beside each of its machines
        "169.254.0.0/16",  # link-local, where clouds keep what their machines may know
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)

_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: any IPv4 address may stand inside
        "3fff::/20",  # documentation
    )
)
_IPV4_INSIDE = (
    ipaddress.IPv6Network("::ffff:0:0/96"),  # mapped: the system connects over IPv4
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64: what networks with IPv6 alone give for each IPv4 host
)
_ISATAP = (0x00005EFE, 0x02005EFE)
"""The upper half of an interface's identifier, in front of an IPv4 address."""


def is_public(address: str) -> bool:
    """Of a numeric address as `getaddrinfo` gives it; one with a zone belongs to a link, and what is none is none."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _NOT_PUBLIC_4)
    if parsed.scope_id is not None:
        return False
    if any(parsed in network for network in _IPV4_INSIDE):
        return is_public(str(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)))
    if parsed not in _PUBLIC_6 or any(parsed in network for network in _NOT_PUBLIC_6):
        return False
    return (int(parsed) >> 32) & 0xFFFFFFFF not in _ISATAP
