"""What can go wrong, by situation.

    X1Error
    ├── Unknown            SessionUnknown · AgentUnknown · WakeUnknown · PreviewUnknown · EvidenceUnknown
    │                      · GrantUnknown · RequestUnknown · ArtifactUnknown
    ├── Refused            GrantMissing · AgentNotPermitted · DepthExceeded · NotYourChild · PushRefused
    │                      · SpecInvalid · SpecNotCommitted · RevisionNotOnBranch · ChecksFailed
    │                      · MergeConflict · MissingSecrets · ItemClaimed · InvalidArguments · PreviewClaimed
    │                      · BudgetExhausted · ArtifactTooLarge · NothingVerified
    ├── Conflict           SessionEnded · LiveSessionExists · ActivationOpen · LeaseHeld · LeaseLost
    ├── ArtifactCorrupt
    └── Unavailable        RelayUnavailable · ForgeUnavailable · BusUnavailable · StoreUnavailable
                           · PrefectUnavailable · DiskFull · ArtifactsUnavailable (ArtifactsFull)
                           · KubernetesUnavailable · RegistryUnavailable

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


class ArtifactUnknown(Unknown):
    code = "artifact_unknown"


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


class NothingVerified(Refused):
    """No earlier revision of this preview has passed a verification: deploy the one that you want."""

    code = "nothing_verified"


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


class PodMismatch(Forbidden):
    """This token is another pod's than the one that the claim names."""

    code = "pod_mismatch"


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


class ArtifactTooLarge(Refused):
    code = "artifact_too_large"

    @classmethod
    def than(cls, cap_bytes: int) -> "ArtifactTooLarge":
        return cls(f"more than {cap_bytes} bytes, which is all that is kept of a session's state")


class ArtifactCorrupt(X1Error):
    """What is stored is not what was stored."""

    code = "artifact_corrupt"


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


class KubernetesUnavailable(Unavailable):
    """`status` is what the API answered, None when it did not."""

    code = "kubernetes_unavailable"

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RegistryUnavailable(Unavailable):
    code = "registry_unavailable"


class ArtifactsUnavailable(Unavailable):
    code = "artifacts_unavailable"


class ArtifactsFull(ArtifactsUnavailable):
    code = "artifacts_full"


class DiskFull(Unavailable):
    code = "disk_full"
