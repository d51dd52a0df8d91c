"""What goes wrong with a runtime.

RuntimeTrouble
├── RuntimeExited    its process ended or closed its pipe while something was asked of it
├── RuntimeSilent    it did not answer in time
└── CallRefused      it answered a call with a JSON-RPC error
"""

from typing import Any

from sidecar.domain.errors import X1Error


class RuntimeTrouble(X1Error):
    code = "runtime_trouble"


class RuntimeExited(RuntimeTrouble):
    code = "runtime_exited"


class RuntimeSilent(RuntimeTrouble):
    code = "runtime_silent"


class CallRefused(RuntimeTrouble):
    """`number` is the JSON-RPC error code; `data` what the runtime added."""

    code = "runtime_refused"

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        self.number = error.get("code")
        self.data = error.get("data")
        told = f": {str(self.data)[:2000]}" if self.data else ""
        super().__init__(f"{method} failed: {error.get('message')} ({self.number}){told}"[:4000])
