"""The names of previews: durable URLs that no two previews share, and an alias for each revision."""

from dataclasses import replace

from sidecar.domain.preview import Preview, alias_label, app_name, distinct, preview_label
from sidecar.relay.services import Services
from sidecar.store.port import Transaction


async def name(tx: Transaction, services: Services, preview: Preview) -> Preview:
    """With its URL, which it then keeps, and the alias of its revision."""
    app = app_name(preview.repo)
    url = preview.url
    if not url:
        url = await _taken(tx, services, preview, preview_label(app, preview.branch))
    alias = await _taken(tx, services, preview, alias_label(app, preview.revision))
    return replace(preview, url=url, alias_url=alias)


async def _taken(tx: Transaction, services: Services, preview: Preview, label: str) -> str:
    """The plain name for who asks first: old revisions live on behind theirs. The last one nobody can foresee."""
    branch = distinct(label, preview.workspace, preview.repo, preview.branch)
    for each in (label, branch, distinct(label, preview.id)):
        url = services.settings.preview_url_template.format(label=each)
        if await tx.previews.take_name(url, preview.id) == preview.id:
            return url
    raise AssertionError(f"{label} is taken under an id that nobody knew")
