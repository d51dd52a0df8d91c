"""What a session flow reads from its environment. Only flows hold the activation token."""

from pathlib import Path
from typing import Self
from uuid import uuid4

from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class FlowSettings(BaseSettings):
    """On one machine `sessions_dir` is where sessions have their places, and `sidecar_pid` the sidecar that a
    later activation may have to end. In a pod `pod_uid` names it, and the agent's paths are those of its own
    container, which this process does not see. `control_socket` is where this activation's sidecar listens.
    """

    model_config = SettingsConfigDict(env_prefix="X1_", extra="ignore")

    relay_url: str
    activation_token_file: Path
    control_socket: Path
    sessions_dir: Path | None = None
    sidecar_pid: int | None = None
    pod_uid: str | None = None
    agent_workspace: Path | None = None
    agent_state: Path | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        in_a_pod = (self.pod_uid, self.agent_workspace, self.agent_state)
        if self.sessions_dir is None and not all(in_a_pod):
            raise ValueError(
                "expected X1_SESSIONS_DIR on one machine, or in a pod all of"
                " X1_POD_UID, X1_AGENT_WORKSPACE and X1_AGENT_STATE"
            )
        return self

    def activation_token(self) -> SecretStr:
        """Read at each use: on Kubernetes the kubelet replaces the file before it expires."""
        return SecretStr(self.activation_token_file.read_text().strip())

    def nonce(self) -> str:
        """Which process of a flow run claims: a pod is asked for by its uid, which its token proves."""
        return self.pod_uid or uuid4().hex
