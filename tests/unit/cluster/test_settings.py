import json

import pytest

from infra.cluster import certificates, secrets, settings
from infra.cluster.rendering import MANIFESTS
from infra.local.errors import WrongUsage

PRODUCTION = """
overlay: production
public_url: https://x1.acme.dev/
forge: {host: git.acme.dev, app_id: 42, key_file: app.pem}
postgres: {host: db.acme.dev, password_file: password}
registry: {host: "images.acme.dev:5000"}
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "app.pem").write_text("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")
    (tmp_path / "password").write_text("p@ss\n")
    path = tmp_path / "x1.yaml"
    path.write_text(PRODUCTION)
    return path


def test_without_a_file_the_installation_is_the_local_one():
    wish = settings.read(None).wish()
    assert (wish.overlay, wish.prefix, wish.values) == ("local", "x1/", {})


def test_an_option_wins_over_the_file(file):
    assert settings.read(file, images__tag="7", previews__domain=None).wish().tag == "7"


def test_a_forges_urls_follow_from_its_host(file):
    values = settings.read(file).wish().values
    assert values["forge-api-url"] == "https://git.acme.dev/api/v3"
    assert values["forge-git-url"] == "https://git.acme.dev"
    assert values["public-url"] == "https://x1.acme.dev"


def test_a_teams_authorities_are_read_from_their_file_and_looked_at(file):
    file.write_text(PRODUCTION + "authorities_file: ca.pem\n")
    ca = file.parent / "ca.pem"
    ca.write_text(certificates.make_authority().certificate)
    assert settings.read(file).wish(file.parent).values["authorities"] == ca.read_text()
    authority = certificates.make_authority()
    ca.write_text(authority.key + authority.certificate)
    told = settings.read(file).wish(file.parent).values["authorities"]
    assert told == authority.certificate, "a key beside it is nobody's to read"
    ca.write_text("none")
    with pytest.raises(WrongUsage) as refused:
        settings.read(file).wish(file.parent)
    assert "ca.pem holds no certificates in PEM" in refused.value.came


def test_previews_may_hold_the_secrets_that_are_declared_for_their_repository(file):
    declared = "previews: {secrets: ['acme/app:STRIPE', 'acme/shop:KEY']}\n"
    file.write_text(PRODUCTION + declared)
    told = settings.read(file).wish().values["preview-secrets"]
    assert json.loads(told) == ["acme/app:STRIPE", "acme/shop:KEY"]
    file.write_text(PRODUCTION + declared.replace("acme/shop:", ""))
    with pytest.raises(WrongUsage) as refused:
        settings.read(file)
    assert "previews.secrets.1" in refused.value.came


def test_what_is_secret_is_read_from_files_beside_the_settings(file):
    found = settings.read(file).secrets(file.parent)
    assert found["postgres-password"] == "p@ss\n"
    assert found["postgres-address"] == "x1@db.acme.dev:5432"
    assert "p@ss" not in str(settings.read(file))


def test_a_login_for_the_images_lies_wherever_a_pod_of_them_runs(file):
    file.write_text(PRODUCTION + "images: {pull_secret_file: config.json}\n")
    (file.parent / "config.json").write_text('{"auths": {"images.acme.dev": {"auth": "eDp5"}}}')
    asked = settings.read(file)
    whole = secrets.completed(asked.secrets(file.parent))
    parts = [
        each for each in secrets.parts(whole) if each.name == asked.wish().values["pull-secret"]
    ]
    assert {each.namespace for each in parts} == {
        "x1-system",
        "x1-sessions",
        "x1-operations",
        "x1-builds",
        "x1-previews-default",
    }
    assert {each.type for each in parts} == {"kubernetes.io/dockerconfigjson"}


def test_what_is_no_login_is_refused(file):
    file.write_text(PRODUCTION + "images: {pull_secret_file: app.pem}\n")
    with pytest.raises(WrongUsage, match=r"images\.pull_secret_file"):
        settings.read(file).secrets(file.parent)


def test_all_that_is_wrong_is_said_at_once(file):
    file.write_text(
        "overlay: production\npublic_url: x1.acme.dev\nforge: {app_id: abc}\npostgress: {}\n"
    )
    with pytest.raises(WrongUsage) as refused:
        settings.read(file)
    for fault in ("public_url", "forge.app_id", "forge.key_file", "postgress"):
        assert fault in refused.value.came


def test_production_says_what_it_needs(file):
    file.write_text("overlay: production\n")
    with pytest.raises(WrongUsage, match="needs forge, postgres, public_url, registry"):
        settings.read(file)


def test_every_secret_file_that_is_not_there_or_holds_something_else_is_named(file):
    (file.parent / "app.pem").write_text("a public key, perhaps")
    (file.parent / "password").unlink()
    with pytest.raises(WrongUsage) as refused:
        settings.read(file).secrets(file.parent)
    assert "forge.key_file" in refused.value.came
    assert "postgres.password_file" in refused.value.came


@pytest.mark.parametrize("text", ["[1, 2]", "overlay: [", "forge: yes"])
def test_a_file_of_another_shape_is_wrong_usage(file, text):
    file.write_text(text)
    with pytest.raises(WrongUsage):
        settings.read(file, previews__domain="x.dev")


def test_the_example_is_what_the_settings_take():
    example = settings.read(MANIFESTS / "overlays" / "production" / "settings.example.yaml")
    assert example.wish().overlay == "production"


def test_sessions_are_let_into_the_namespace_of_the_service_before_the_gateway():
    values = (
        settings.read(None, previews__gateway_service="envoy.gateways.svc.cluster.local")
        .wish()
        .values
    )
    assert values["gateway-service"] == "envoy.gateways.svc.cluster.local"
    assert values["gateway-namespace"] == "gateways"


def test_an_internal_network_is_opened_on_its_ports_and_on_the_webs_where_none_are_said(file):
    said = "open_networks: [{cidr: 10.1.0.0/16}, {cidr: 10.2.0.7/32, ports: [5000]}]\n"
    file.write_text(PRODUCTION + said)
    opened = settings.read(file).open_networks
    assert [(str(each.cidr), each.ports) for each in opened] == [
        ("10.1.0.0/16", (80, 443)),
        ("10.2.0.7/32", (5000,)),
    ]


@pytest.mark.parametrize(
    "cidr", ["0.0.0.0/0", "169.254.169.254/32", "168.63.129.16/32", "10.1.2.3/8", "::/0", "a"]
)
def test_a_network_that_holds_machines_own_addresses_is_not_opened(file, cidr):
    file.write_text(f"{PRODUCTION}open_networks: [{{cidr: '{cidr}'}}]\n")
    with pytest.raises(WrongUsage) as refused:
        settings.read(file)
    assert "open_networks.0.cidr" in refused.value.came
