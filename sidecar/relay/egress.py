"""What a session's pod may reach outside: the tokens that its egress proxy looks at, and what needs none."""

import ipaddress
from urllib.parse import urlsplit

from pydantic import SecretStr

from sidecar.domain.ids import SessionId
from sidecar.relay.rights import Rights
from sidecar.relay.services import Services
from sidecar.settings import RelaySettings
from sidecar.wire.claim import EgressAccess


def egress_access(services: Services, rights: Rights) -> EgressAccess:
    """The agent's. Made anew at each renewal, so that a grant and its end take effect with the next one."""
    hosts = rights.allow_hosts()
    token = services.tokens.mint_egress(rights.session.id, hosts)
    return EgressAccess(token=token, allow_hosts=hosts)


def forge_egress(services: Services, session_id: SessionId, git_url: str) -> SecretStr | None:
    """The git gateway's: it reaches the forge, which its agent may not."""
    host = urlsplit(git_url).hostname or ""
    return None if _is_beside_us(host) else services.tokens.mint_egress(session_id, [host])


def direct_domains(settings: RelaySettings) -> list[str]:
    """The domain of the previews, which sessions reach as everybody does."""
    host = urlsplit(settings.preview_url_template.replace("{label}", "label")).hostname or ""
    _, _, domain = host.partition(".")
    return [domain] if domain and domain != "localhost" else []


def _is_beside_us(host: str) -> bool:
    """On this machine or a Service of this cluster: the egress proxy leads to neither."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host.endswith((".localhost", ".svc")) or ".svc." in host or "." not in host
