"""Which hosts outside an agent may reach, by name. What a name leads to is for the egress proxy to look at.

A pattern is a host's name, or `*.` and a domain: that one covers every name below the domain and not the domain.
"""

import re
from collections.abc import Iterable
from typing import Final

from sidecar.domain.policy import Decision, allow, deny

PORTS: Final = (443, 80)
MAX_NAME: Final = 253
"""RFC 1035, as text."""
SHOWN_PATTERNS: Final = 8

_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_PATTERN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*|\*\.{_LABEL}(\.{_LABEL})+")


def is_host_pattern(text: str) -> bool:
    """Lower case, without a port or a final dot. A wildcard needs two labels: `*.com` is nobody's host."""
    return len(text) <= MAX_NAME and _PATTERN.fullmatch(text) is not None


def host_name(text: str) -> str | None:
    """A host as patterns spell it; None when it is no name, such as an IPv6 address."""
    name = text.lower().removesuffix(".")
    return name if len(name) <= MAX_NAME and _NAME.fullmatch(name) else None


def decide(patterns: Iterable[str], host: str, port: int) -> Decision:
    """`host` as it was asked for, in any case and with or without the final dot."""
    if port not in PORTS:
        return deny(f"port {port} is not open: only {' and '.join(map(str, PORTS))} are")
    name = host_name(host)
    if name is None:
        return deny("that is not the name of a host")
    known = sorted({each for each in patterns if is_host_pattern(each)})
    for pattern in known:
        if name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:])):
            return allow(f"allow_hosts has {pattern}")
    return deny(f"{name} is not in this agent's allow_hosts ({_shown(known)})")


def _shown(patterns: list[str]) -> str:
    more = len(patterns) - SHOWN_PATTERNS
    listed = ", ".join(patterns[:SHOWN_PATTERNS]) or "none"
    return f"{listed} and {more} more" if more > 0 else listed
