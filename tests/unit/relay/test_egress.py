"""What the relay lets a session's pod reach, as the egress proxy's own check reads it."""

import jwt
import pytest

from sidecar.domain.agent import AgentKind
from sidecar.domain.errors import Unauthenticated
from sidecar.domain.grant import GrantScope, GrantType
from sidecar.domain.ids import AgentSlug
from sidecar.egress.passes import Passes
from sidecar.relay import leasing
from sidecar.relay.egress import direct_domains, forge_egress
from sidecar.relay.operator.grants import take
from sidecar.wire.claim import RenewRequest

BOSS = AgentSlug("boss")


async def read(desk, token):
    async def keys(_):
        return jwt.PyJWKSet.from_dict(desk.services.tokens.key_set()).keys

    return await Passes(keys).check(token.get_secret_value())


async def renewed(desk, held):
    return await leasing.renew(desk.services, held.claims, RenewRequest(holder=held.holder))


async def test_a_session_may_reach_the_hosts_of_its_agents_file(desk):
    await desk.agent(BOSS, AgentKind.ORCHESTRATOR, allow_hosts=("pypi.org", "*.pythonhosted.org"))
    held = await desk.start()
    access = await read(desk, held.bundle.egress.token)
    assert access.session_id == held.session_id
    assert access.hosts == ("pypi.org", "*.pythonhosted.org")


async def test_an_agent_that_asks_for_no_host_reaches_none(desk):
    held = await desk.start()
    assert (await read(desk, held.bundle.egress.token)).hosts == ()


async def test_a_humans_grant_opens_a_host_with_the_next_renewal_and_its_end_closes_it(desk):
    held = await desk.start()
    fields = {"scope": GrantScope.SESSION, "session_id": held.session_id}
    grant = await desk.grant(BOSS, GrantType.NETWORK, "example.com", **fields)
    assert (await renewed(desk, held)).egress.allow_hosts == ["example.com"]
    await take(desk.services, grant.id, "ann")
    assert (await renewed(desk, held)).egress.allow_hosts == []


async def test_a_grant_for_another_session_opens_nothing_here(desk):
    held = await desk.start()
    fields = {"scope": GrantScope.SESSION, "session_id": "another"}
    await desk.grant(BOSS, GrantType.NETWORK, "example.com", **fields)
    assert (await renewed(desk, held)).egress.allow_hosts == []


async def test_the_relays_own_tokens_are_no_passes_and_a_pass_is_no_token(desk):
    held = await desk.start()
    with pytest.raises(Unauthenticated):
        await read(desk, held.bundle.token)
    with pytest.raises(Unauthenticated):
        desk.services.tokens.verify_session(held.bundle.egress.token.get_secret_value())


async def test_the_git_gateway_has_a_pass_of_its_own_for_a_forge_outside(desk):
    token = forge_egress(desk.services, "s", "https://github.com")
    assert (await read(desk, token)).hosts == ("github.com",)


@pytest.mark.parametrize(
    "url", ["http://forge.x1-system.svc:8600", "http://127.0.0.1:8600", "http://forge"]
)
async def test_a_forge_beside_the_relay_needs_none(desk, url):
    assert forge_egress(desk.services, "s", url) is None


@pytest.mark.parametrize(
    ("template", "domains"),
    [
        ("https://{label}.previews.x1flows.test", ["previews.x1flows.test"]),
        ("https://{label}.previews.x1flows.test:8443", ["previews.x1flows.test"]),
        ("http://{label}.localhost:8800", []),
    ],
)
def test_the_previews_domain_is_reached_without_the_proxy(settings, template, domains):
    changed = settings.model_copy(update={"preview_url_template": template})
    assert direct_domains(changed) == domains
