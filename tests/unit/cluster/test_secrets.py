import json

from prefect.settings import Settings as PrefectSettings

from deployments.templates import setting_names
from infra.cluster import prefect_server, secrets
from infra.cluster.secrets import Part
from infra.cluster.stamps import contents, digest, stamped

POD = {
    "containers": [
        {
            "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "read"}}},
                {"name": "B", "value": "plain"},
            ],
            "envFrom": [{"configMapRef": {"name": "c"}}],
        }
    ],
    "volumes": [
        {"secret": {"secretName": "v", "items": [{"key": "mounted", "path": "x"}]}},
        {"secret": {"secretName": "not-ours", "optional": True}},
        {"emptyDir": {}},
    ],
}


def known(**changes):
    told = {"read": "1", "unread": "1", "mounted": "1", "unmounted": "1", "setting": "1", **changes}
    return contents(
        [
            {
                "kind": "ConfigMap",
                "metadata": {"name": "c", "namespace": "n"},
                "data": {"k": told["setting"]},
            }
        ],
        [
            Part(name="s", namespace="n", content={k: told[k] for k in ("read", "unread")}),
            Part(name="v", namespace="n", content={k: told[k] for k in ("mounted", "unmounted")}),
        ],
    )


def test_what_is_there_stays_and_only_what_is_missing_is_made():
    first = secrets.completed({})
    assert secrets.completed(first) == first
    again = secrets.completed({**first, "operator-token": "mine"})
    assert again["operator-token"] == "mine"
    del again["session-key.pem"]
    healed = secrets.completed(again)
    assert healed["operator-token"] == "mine"
    assert "PRIVATE KEY" in healed["session-key.pem"]


def test_session_pods_get_prefects_login_and_nothing_else():
    parts = [
        each for each in secrets.parts(secrets.completed({})) if each.namespace == "x1-sessions"
    ]
    assert [(each.name, list(each.content)) for each in parts] == [
        ("x1-prefect-client", ["auth-string", "profiles.toml"])
    ]


def test_prefect_logs_in_by_a_file_whatever_signs_its_password_has(tmp_path, monkeypatch):
    auth = "x1:p\"a\\s sä'"
    (part,) = [
        each
        for each in secrets.parts(secrets.completed({"prefect-auth": f"{auth}\n"}))
        if each.name == "x1-prefect"
    ]
    file = tmp_path / "profiles.toml"
    file.write_text(part.content["profiles.toml"])
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(file))
    login = PrefectSettings().api.auth_string
    assert login is not None
    assert login.get_secret_value() == auth


def test_prefects_server_finds_what_it_reads(tmp_path):
    (part,) = [each for each in secrets.parts(secrets.completed({})) if each.name == "x1-prefect"]
    for name, content in part.content.items():
        (tmp_path / name).write_text(f"{content}\n")
    found = prefect_server.read_secrets(tmp_path)
    assert found["PREFECT_SERVER_API_AUTH_STRING"] == part.content["auth-string"]
    assert found["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == part.content["connection-url"]
    assert found.keys() <= set(setting_names()) | {"PREFECT_SERVER_ENCRYPTION_KEY"}


def test_a_password_with_signs_reaches_prefect_as_it_is():
    whole = secrets.completed({"postgres-password": "p@s/s\n", "postgres-address": "me@db:5432"})
    (part,) = [each for each in secrets.parts(whole) if each.name == "x1-prefect"]
    url = part.content["connection-url"]
    assert url == "postgresql+asyncpg://me:p%40s%2Fs@db:5432/prefect"


def test_new_bus_keys_keep_the_accounts():
    before = json.loads(secrets.bus_keys()["bus-server.json"])
    after = secrets.bus_keys(before["account_id"], before["system_id"])
    server = json.loads(after["bus-server.json"])
    for kept in ("account_id", "system_id"):
        assert server[kept] == before[kept]
    assert server["operator_jwt"] != before["operator_jwt"]
    assert after["bus-account-seed"].split()[1] == before["account_id"]


def test_a_pod_is_replaced_when_what_it_reads_changes_and_only_then():
    before = digest(POD, "n", known())
    for name in ("read", "mounted", "setting"):
        assert digest(POD, "n", known(**{name: "2"})) != before
    for name in ("unread", "unmounted"):
        assert digest(POD, "n", known(**{name: "2"})) == before


def test_a_workload_that_reads_once_is_left():
    once = {
        "kind": "StatefulSet",
        "spec": {"template": {"metadata": {"annotations": {"x1flows.io/reads": "once"}}}},
    }
    assert stamped(once, {}) == once
