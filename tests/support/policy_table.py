"""Who may talk to whom, as data: what each party reaches, and that it reaches nothing else.

The README's table says the same; test_policies tries each row on a cluster.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from policy_parties import FIXED, PARTIES, Port, Protocol

TWINS = {
    *("another session", "another preview", "another dependency"),
    "dependency of another workspace",
}
"""They ask nobody: each is like one that does, and shows that this one does not reach it."""


@dataclass(frozen=True, kw_only=True)
class Row:
    source: str
    target: str
    port: int
    protocol: Protocol
    is_allowed: bool
    why: str

    def __str__(self) -> str:
        way = "reaches" if self.is_allowed else "does not reach"
        return f"{self.source} {way} {self.end}"

    @property
    def end(self) -> str:
        """As the README writes it."""
        port = self.port if self.protocol == "TCP" else f"{self.port}/udp"
        return f"{self.target} {port}"


@dataclass(frozen=True, kw_only=True)
class Ways:
    """`reached`: why, by what is reached, as the README writes it. `nothing_else`: why not."""

    reached: dict[str, str]
    nothing_else: str


_NAMES = {"kube-dns 53/udp": "names", "kube-dns 53": "names, when the answer is long"}
_API_SERVER = {
    "API server 443": "Jobs, and how they go",
    "internet 443": "the API server's address differs from cluster to cluster: the port is all a policy can say",
}
_WORKER = Ways(
    reached={"prefect 4200": "scheduled runs", **_API_SERVER, **_NAMES},
    nothing_else="it makes Jobs and nothing else",
)
_SERVER = Ways(reached={}, nothing_else="it answers, and asks nobody")

REACHED: dict[str, Ways] = {
    "session": Ways(
        reached={
            "relay 8700": "claim, lease, wakes, tools",
            "nats 4222": "its own events and doorbell",
            "prefect 4200": "the flow's engine",
            "session-dns 5353/udp": "the few names it may know",
            "session-dns 5353": "the few names it may know",
            "egress 3128": "its way out: allow_hosts, looked at there",
            "gateway 8443": "previews, at their own URLs",
            "forge 8600": "git, where the forge is the embedded one (overlay local)",
        },
        nothing_else="what it needs of others, the relay does for it; the outside is behind the egress proxy",
    ),
    "relay": Ways(
        reached={
            "postgres 5432": "the ledger",
            "nats 4222": "events and doorbells",
            "prefect 4200": "flow runs",
            "forge 8600": "tokens, merges (overlay local)",
            "API server 443": "token reviews, pods and Jobs of sessions",
            "internet 443": "the forge's API",
            **_NAMES,
        },
        nothing_else="pods come to it, it goes to none",
    ),
    "prefect": Ways(
        reached={"postgres 5432": "its database", **_NAMES},
        nothing_else="it answers, and asks nobody",
    ),
    "worker": _WORKER,
    "worker-previews": _WORKER,
    "installer": Ways(
        reached={
            "prefect 4200": "work pools and deployments",
            "relay 8700": "waits for it",
            **_NAMES,
        },
        nothing_else="Prefect's API is all it needs",
    ),
    "nats": Ways(reached=_NAMES, nothing_else="it looks for its peers, and asks nobody"),
    "postgres": _SERVER,
    "forge": _SERVER,
    "registry": _SERVER,
    "session-dns": Ways(reached=_NAMES, nothing_else="it answers names and nothing else"),
    "egress": Ways(
        reached={
            "relay 8700": "the keys that prove a pass",
            "internet 443": "what agents' allow_hosts lead to",
            **_NAMES,
        },
        nothing_else="it leads outside and never back in",
    ),
    "preview flow": Ways(
        reached={
            "relay 8700": "claim, lease, what to build and how it went",
            "prefect 4200": "the flow's engine",
            "registry 5000": "whether an image is there already (overlay local)",
            "gateway 8443": "previews are proven as anybody sees them",
            **_API_SERVER,
            **_NAMES,
        },
        nothing_else="it reads hostile answers; a preview is asked through the gateway alone",
    ),
    "build": Ways(
        reached={
            "relay 8700": "the registry's token service; its other routes ask for tokens",
            "registry 5000": "pushes its image (overlay local)",
            "forge 8600": "the commit that it builds (overlay local)",
            "internet 443": "packages and base images",
            **_NAMES,
        },
        nothing_else="its steps are hostile",
    ),
    "preview": Ways(
        reached={
            "dependency 5432": "its own preview's",
            "internet 443": "what agents wrote may use the world",
            **_NAMES,
        },
        nothing_else="it is hostile, and the cluster is none of its business",
    ),
    "dependency": Ways(
        reached={"preview 8000": "pods of one preview reach one another"},
        nothing_else="it answers, and asks nobody",
    ),
    "preview of another workspace": Ways(
        reached={
            "dependency of another workspace 5432": "its own preview's",
            "internet 443": "what agents wrote may use the world",
            **_NAMES,
        },
        nothing_else="previews of another workspace are in another namespace, and no more its business",
    ),
    "gateway": Ways(
        reached={
            "preview 8000": "visitors",
            "another preview 8000": "visitors",
            "preview of another workspace 8000": "visitors",
            "registry 5000": "anybody may knock; tokens decide (overlay local)",
        },
        nothing_else="visitors come to previews, and not to what stands behind them",
    ),
    "stranger": Ways(
        reached={"registry 5000": "nodes pull, and carry no label; tokens decide (overlay local)"},
        nothing_else="nobody else comes in",
    ),
}


def _ports(target: str) -> tuple[Port, ...]:
    if target in FIXED:
        return FIXED[target]
    party = PARTIES[target]
    return (
        *((port, "TCP") for port in party.ports),
        *((port, "UDP") for port in party.udp_ports),
    )


def _rows(source: str) -> Iterator[Row]:
    """To every port of everybody else, where a policy of ours has a say."""
    ways = REACHED[source]
    for target in (*PARTIES, *FIXED):
        party = PARTIES.get(target)
        is_held = PARTIES[source].is_ours or (party is not None and party.is_ours)
        for port, protocol in _ports(target) if is_held and target != source else ():
            row = Row(
                source=source,
                target=target,
                port=port,
                protocol=protocol,
                is_allowed=False,
                why=ways.nothing_else,
            )
            why = ways.reached.get(row.end)
            yield replace(row, is_allowed=True, why=why) if why else row


TABLE: tuple[Row, ...] = tuple(
    row for source in PARTIES if source not in TWINS for row in _rows(source)
)
