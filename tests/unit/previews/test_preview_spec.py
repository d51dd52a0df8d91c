"""`.x1agent/preview.yaml`: what is read, and how errors name their place."""

import json
from pathlib import Path

import pytest

from sidecar.domain.errors import SpecInvalid
from sidecar.wire import preview_spec
from sidecar.wire.preview_abilities import LOCAL, Abilities
from sidecar.wire.preview_spec import parse_preview

GOOD = """apiVersion: x1agent.io/v1
kind: PreviewSpec
metadata: {name: app}
spec:
  entrypoint:
    kind: process
    build: [make, all]
    run: [python3, -m, app]
  runtime: {port: 8000, healthcheck: {path: /healthz, initialDelaySeconds: 100}}
  env:
    - {name: GREETING, value: hello}
    - {name: SELF, from: preview.self_url}
"""


def test_a_process_spec_is_read():
    spec = parse_preview(GOOD)
    assert (spec.build, spec.run) == (("make", "all"), ("python3", "-m", "app"))
    assert (spec.health_path, spec.startup_seconds) == ("/healthz", 130)
    assert (dict(spec.env), spec.self_url_names) == ({"GREETING": "hello"}, ("SELF",))


def test_every_error_is_told_at_once_with_its_line():
    text = GOOD.replace("port: 8000", "port: 80").replace("metadata: {name: app}", "metadata: {}")
    with pytest.raises(SpecInvalid) as refused:
        parse_preview(text)
    told = {(each.path, each.line) for each in refused.value.findings}
    assert told == {("metadata.name", 3), ("spec.runtime.port", 9)}


@pytest.mark.parametrize("path", ["../out", "/etc", "a/../../b", "~/x"])
def test_a_path_out_of_the_repository_is_refused(path):
    with pytest.raises(SpecInvalid, match="below the repository"):
        parse_preview(GOOD.replace("kind: process", f"kind: process\n    path: {path}"))


def test_another_kind_is_refused_with_what_this_target_does():
    text = GOOD.replace("kind: process", "kind: dockerfile\n    path: Dockerfile")
    text = text.replace("    build: [make, all]\n", "").replace("    run: [python3, -m, app]\n", "")
    with pytest.raises(SpecInvalid, match="dockerfile cannot be built here; this target does"):
        parse_preview(text)


@pytest.mark.parametrize(
    "entry",
    [
        "{name: KEY, from: 'secret:STRIPE'}",
        "{name: DB, from: dep:0.url}",
        "{name: PATH, value: /x}",
        "{name: LD_PRELOAD, value: /x}",
        "{name: KEY}",
        "{name: SHARE, from: preview.share_base_url}",
    ],
)
def test_what_this_target_cannot_give_is_refused_before_a_build(entry):
    with pytest.raises(SpecInvalid) as refused:
        parse_preview(GOOD.replace("{name: GREETING, value: hello}", entry))
    assert "env" in refused.value.findings[0].path


@pytest.mark.parametrize("abilities", [LOCAL, Abilities(kinds=("process", "manifest"))])
@pytest.mark.parametrize(
    ("part", "field", "written"),
    [
        ("runtime", "path", "{path: /app}"),
        ("ingress", "stripPath", "{stripPath: true}"),
        ("ingress", "additionalHeaders", "{additionalHeaders: {x-a: b}}"),
    ],
)
def test_what_is_written_and_would_have_no_effect_is_refused(part, field, written, abilities):
    text = GOOD.replace("  runtime: {port: 8000, healthcheck", "  runtime: {healthcheck")
    lines = [line for line in text.splitlines() if part != "runtime" or "runtime:" not in line]
    with pytest.raises(SpecInvalid) as refused:
        parse_preview("\n".join([*lines, f"  {part}: {written}"]), abilities=abilities)
    assert [each.path for each in refused.value.findings] == [f"spec.{part}.{field}"]


CLUSTER = Abilities(kinds=("manifest",))
WITH = """apiVersion: x1agent.io/v1
kind: PreviewSpec
metadata: {name: app}
spec:
  entrypoint: {kind: manifest, path: k8s}
  dependencies: DEPENDENCIES
  env: [{name: TOOLS, from: dep:0.url}, {name: DATABASE, from: dep:1.url}]
"""


@pytest.mark.parametrize("optional", ["kind: mcp", "kind: redis, shared: true"])
def test_an_optional_dependency_that_is_not_provided_is_left_out_with_what_asks_for_it(optional):
    named = f"[{{{optional}, required: false, provides: [T]}}, {{kind: postgres, provides: [D]}}]"
    spec = parse_preview(WITH.replace("DEPENDENCIES", named), abilities=CLUSTER)
    [database] = spec.dependencies
    assert (database.kind, database.name) == ("postgres", "postgres-1")
    assert spec.dependency_env == (("DATABASE", 0, "url"),)


def test_on_one_machine_an_optional_dependency_is_left_out_too():
    more = "  dependencies: [{kind: postgres, required: false}]\n"
    assert parse_preview(GOOD + more).dependencies == ()


def test_a_required_dependency_that_is_not_provided_is_refused():
    text = WITH.replace("DEPENDENCIES", "[{kind: mcp}, {kind: postgres}]")
    with pytest.raises(SpecInvalid, match="mcp is not provided here"):
        parse_preview(text, abilities=CLUSTER)


@pytest.mark.parametrize(
    "second",
    [
        "{kind: redis, name: db}",
        "{kind: postgres, name: db}",
        "{kind: mcp, name: db, required: false}",
    ],
)
def test_two_dependencies_of_one_name_are_refused(second):
    text = WITH.replace("DEPENDENCIES", f"[{{kind: postgres, name: db}}, {second}]")
    with pytest.raises(SpecInvalid) as refused:
        parse_preview(text, abilities=CLUSTER)
    [found] = refused.value.findings
    assert (found.path, "a second dependency named db" in found.message) == (
        "spec.dependencies[1].name",
        True,
    )


def test_the_committed_schema_is_the_one_that_is_read_by():
    committed = Path(preview_spec.__file__).with_suffix(".schema.json")
    assert json.loads(committed.read_text()) == preview_spec.schema()
