"""What can go wrong, by situation.

    X1Error
    ├── Unknown            SessionUnknown · AgentUnknown · WakeUnknown · PreviewUnknown · EvidenceUnknown · GrantUnknown
    ├── Refused            GrantMissing · AgentNotPermitted · DepthExceeded · NotYourChild · PushRefused
    │                      · SpecInvalid · SpecNotCommitted · RevisionNotOnBranch · ChecksFailed
    │                      · MergeConflict · MissingSecrets · ItemClaimed · InvalidArguments · PreviewClaimed
    │                      · BudgetExhausted
    ├── Conflict           SessionEnded · LiveSessionExists · ActivationOpen · LeaseHeld · LeaseLost
    └── Unavailable        RelayUnavailable · ForgeUnavailable · BusUnavailable · StoreUnavailable
                           · PrefectUnavailable · DiskFull

`code` is the stable word a script or an agent branches on (protocol: MCP errors and HTTP `error.code`);
the message is for a reader and says what was expected, what came and what to do next.
`Unavailable` is the only branch worth repeating.
"""

from dataclasses import dataclass
from typing import ClassVar


class X1Error(Exception):
    code: ClassVar[str] = "internal"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or self.code).strip().splitlines()[0])


class Unknown(X1Error):
    code = "unknown"


class Refused(X1Error):
    code = "refused"


class Conflict(X1Error):
    code = "conflict"


class Unavailable(X1Error):
    code = "relay_unavailable"


class SessionUnknown(Unknown):
    code = "session_unknown"


class AgentUnknown(Unknown):
    code = "agent_unknown"


class WakeUnknown(Unknown):
    code = "wake_unknown"


class PreviewUnknown(Unknown):
    code = "preview_unknown"


class EvidenceUnknown(Unknown):
    code = "evidence_unknown"


class GrantUnknown(Unknown):
    code = "grant_unknown"


class RequestUnknown(Unknown):
    code = "request_unknown"


class GrantMissing(Refused):
    code = "grant_missing"


class AgentNotPermitted(Refused):
    code = "agent_not_permitted"


class DepthExceeded(Refused):
    code = "depth_exceeded"


class NotYourChild(Refused):
    code = "not_your_child"


class PushRefused(Refused):
    code = "push_refused"


class SpecNotCommitted(Refused):
    code = "spec_not_committed"


class RevisionNotOnBranch(Refused):
    code = "revision_not_on_branch"


class ChecksFailed(Refused):
    code = "checks_failed"


class MergeConflict(Refused):
    code = "merge_conflict"


class MissingSecrets(Refused):
    code = "missing_secrets"


class ItemClaimed(Refused):
    code = "item_claimed"


class PreviewClaimed(Refused):
    code = "preview_claimed"


class BudgetExhausted(Refused):
    code = "budget_exhausted"


class Unauthenticated(Refused):
    code = "unauthenticated"


class Forbidden(Refused):
    code = "forbidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing wrong with a document: where, what was found, what is allowed."""

    path: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"line {self.line}, {self.path}" if self.line else self.path
        return f"{place}: {self.message}"


class InvalidArguments(Refused):
    """Bad input. Carries every finding at once, so that one correction suffices."""

    code = "invalid_arguments"

    def __init__(self, message: str, findings: tuple[Finding, ...] = ()) -> None:
        self.findings = findings
        super().__init__("\n".join([message, *(f"  {finding}" for finding in findings)]))


class SpecInvalid(InvalidArguments):
    """A session spec or preview spec that cannot be used as it stands."""

    code = "invalid_arguments"


class SessionEnded(Conflict):
    code = "session_ended"


class LiveSessionExists(Conflict):
    code = "live_session_exists"


class ActivationOpen(Conflict):
    code = "activation_open"


class LeaseHeld(Conflict):
    code = "lease_held"


class LeaseLost(Conflict):
    code = "lease_lost"


class RelayUnavailable(Unavailable):
    code = "relay_unavailable"


class ForgeUnavailable(Unavailable):
    code = "forge_unavailable"


class BusUnavailable(Unavailable):
    code = "bus_unavailable"


class StoreUnavailable(Unavailable):
    code = "store_unavailable"


class PrefectUnavailable(Unavailable):
    code = "prefect_unavailable"


class DiskFull(Unavailable):
    code = "disk_full"
