"""Session specs as they are committed: Markdown with YAML front matter between two `---` lines."""

from pydantic import Field, field_validator

from sidecar.domain.errors import Finding, InvalidArguments, SpecInvalid
from sidecar.domain.ids import AgentSlug, Repository
from sidecar.domain.spec import SessionSpec
from sidecar.wire.checks import MAX_CHECKS, CheckModel
from sidecar.wire.model import BranchName, StrictModel
from sidecar.wire.validation import validated
from sidecar.wire.yaml_lines import Document

FENCE = "---"


class ScopeModel(StrictModel):
    inside: list[str] = Field(default_factory=list, alias="in")
    out: list[str] = Field(default_factory=list)

    @field_validator("inside", "out", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class SpecModel(StrictModel):
    child: str = Field(min_length=1, max_length=63)
    repo: str = Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
    branch: BranchName
    scope: ScopeModel = Field(default_factory=ScopeModel)
    files: list[str] = Field(default_factory=list)
    acceptance: list[CheckModel] = Field(min_length=1, max_length=MAX_CHECKS)
    self_verification: list[str] = Field(default_factory=list)


def parse_spec(text: str, path: str) -> SessionSpec:
    """Raises SpecInvalid with every finding, its line and its place in `path`."""
    try:
        front, body, first_line = _split(text)
        model = validated(Document(front, first_line=first_line), SpecModel, path)
    except SpecInvalid:
        raise
    except InvalidArguments as error:
        findings = tuple(
            Finding(path=f"{path}: {each.path}", message=each.message, line=each.line)
            for each in error.findings
        )
        raise SpecInvalid(f"session spec {path} cannot be used", findings) from error
    return SessionSpec(
        child=AgentSlug(model.child),
        repo=Repository(model.repo),
        branch=model.branch,
        acceptance=tuple(check.to_check() for check in model.acceptance),
        scope_in=tuple(model.scope.inside),
        scope_out=tuple(model.scope.out),
        files=tuple(model.files),
        self_verification=tuple(model.self_verification),
        body=body,
    )


def _split(text: str) -> tuple[str, str, int]:
    lines = text.splitlines()
    if not lines or lines[0].strip() != FENCE:
        raise SpecInvalid(
            "a session spec begins with YAML front matter",
            (Finding(path="(document)", message="expected a line of three dashes", line=1),),
        )
    for number, line in enumerate(lines[1:], start=1):
        if line.strip() == FENCE:
            return "\n".join(lines[1:number]), "\n".join(lines[number + 1 :]).strip(), 2
    raise SpecInvalid(
        "the front matter has no end",
        (Finding(path="(document)", message="expected a closing line of three dashes", line=1),),
    )
