"""What a finished session leaves in Prefect's UI: its summary and what it used."""

from collections.abc import Sequence
from typing import Any

from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact

from sidecar.wire.claim import EndAnswer, SessionBundle
from tasks.session.steps import step


@step(name="artifacts", retries=2, retry_delay_seconds=1)
async def leave_artifacts(bundle: SessionBundle, ended: EndAnswer) -> None:
    """Two retries: the session has ended whatever becomes of its artifacts."""
    await acreate_markdown_artifact(
        key=f"{bundle.session_id}-summary",
        markdown=f"{ended.summary or '(no summary)'}\n\n[Session page]({bundle.page_url})",
        description=f"Summary of {bundle.agent}",
    )
    await acreate_table_artifact(
        key=f"{bundle.session_id}-usage",
        table=_rows(ended.usage),
        description=f"Usage of {bundle.agent}",
    )


def _rows(usage: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [dict(row) for row in usage] or [
        {"model": "none", "input_tokens": 0, "output_tokens": 0}
    ]
