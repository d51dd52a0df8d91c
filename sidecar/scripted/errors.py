"""What goes wrong with a script.

X1Error
├── InvalidArguments
│   └── ScriptInvalid    it cannot be played as it stands; every finding with its line
└── StepFailed           a step of a turn failed: its line, its verb, a code and the words
"""

from typing import Any

from sidecar.domain.errors import InvalidArguments, X1Error


class ScriptInvalid(InvalidArguments):
    code = "script_invalid"


class StepFailed(X1Error):
    """`reason` is what `error.code` is in a `rescue`: `exit`, `timeout`, `missing`, a tool's own code, …"""

    code = "step_failed"

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.words = message
        self.line: int | None = None
        self.verb = ""
        super().__init__(message)

    def at(self, line: int, verb: str) -> "StepFailed":
        """The innermost step names itself; those around it change nothing."""
        if self.line is None:
            self.line, self.verb = line, verb
        return self

    def __str__(self) -> str:
        place = f"script line {self.line}, {self.verb}: " if self.line else ""
        return f"{place}{self.words}"

    def as_names(self) -> dict[str, Any]:
        return {"code": self.reason, "message": self.words, "line": self.line, "verb": self.verb}
