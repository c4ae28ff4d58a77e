"""deploy/kubernetes/README.md describes the existing manifests."""

import asyncio
import re
import struct
import sys
from pathlib import Path

import pytest

from filas.settings import setting_groups, settings_reader
from tests.deploy.kubernetes_schemas import OLDEST, VERSIONS
from tests.deploy.kustomize import KUBERNETES, OVERLAYS, needs_kubectl, rendered
from tests.deploy.promtool import ROOT
from tests.notifier.mail import certificate

README = (KUBERNETES / "README.md").read_text()
pytestmark = [needs_kubectl, pytest.mark.starts_processes]

COMMANDS = "\n".join(re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL))


def test_every_overlay_and_component_is_described() -> None:
    """By name; and every directory is one of them."""
    components = {path.parent.name for path in KUBERNETES.glob("components/*/kustomization.yaml")}
    assert {name for name in components if f"`components/{name}`" not in README and f"`{name}`" not in README} == set()
    assert all(f"`{name}`" in README for name in ("base", *OVERLAYS[:3], "migrate-post"))
    overlays = {str(path.parent.relative_to(KUBERNETES)) for path in KUBERNETES.glob("overlays/**/kustomization.yaml")}
    assert overlays == {*OVERLAYS, "overlays/production/shared"}


def test_the_commands_are_about_what_is_there() -> None:
    """Paths, Deployments and Jobs."""
    for path in re.findall(r"(?:deploy|services)/[\w$./-]+", COMMANDS):
        assert (ROOT / path.replace("$service", "ingest")).exists(), path
    development, production = rendered("overlays/development"), rendered("overlays/production")
    deployments = development.names("Deployment")
    [loop] = re.findall(r"for name in (.*?); do", COMMANDS)
    assert set(loop.split()) == deployments
    assert set(re.findall(r"deployment/([\w-]+)", COMMANDS)) <= deployments
    jobs = set(re.findall(r"filas-migrate[\w-]*", COMMANDS))
    made = [rendered(overlay).names("Job") for overlay in OVERLAYS]
    assert jobs == set().union(*made)
    assert production.of("Job") == []


def test_the_numbers_are_right() -> None:
    """The versions that are tested, and the connections that all replicas may open."""
    assert f"Kubernetes {OLDEST} or newer" in README
    assert f"Kubernetes {OLDEST} to {VERSIONS[-1]}" in README
    keda = rendered("overlays/production + keda")
    most = sum(one["spec"]["maxReplicaCount"] for one in keda.of("ScaledObject"))
    most += sum(one["spec"]["maxReplicas"] for one in keda.of("HorizontalPodAutoscaler"))
    [pool] = [
        one for one in settings_reader.variables(setting_groups.PostgresSettings) if one.name == "DATABASE_POOL_SIZE"
    ]
    assert f"`DATABASE_POOL_SIZE` ({pool.default})" in README
    own_pool = keda.environment("ingest-admin")["INGEST_ADMIN_POOL_SIZE"]
    assert f"`INGEST_ADMIN_POOL_SIZE` ({own_pool})" in README
    admins = keda.one("Deployment", "ingest-admin")["spec"]["replicas"]
    # ingest-admin has a second pool, for searches.
    connections = most * int(pool.default or 0) + 2 * admins * int(own_pool or 0)
    assert f"{connections} connections" in README
    delay = keda.environment("ingest")["SHUTDOWN_DELAY_S"]
    assert f"takes webhooks for {delay} more seconds (`SHUTDOWN_DELAY_S`)" in README


async def test_production_refuses_a_postgres_without_tls(tmp_path: Path) -> None:
    """With the variables of its Job, `filas migrate` requests TLS first, and sends no data to a server without TLS."""
    environment = rendered("overlays/production/migrate-pre").environment("filas-migrate-pre")
    authority = tmp_path / "authority.pem"
    authority.write_bytes(certificate()[0])
    sent: list[bytes] = []

    async def postgres(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent.append(await reader.readexactly(8))
        writer.write(b"N")
        sent.append(await reader.read())
        writer.close()

    async with await asyncio.start_server(postgres, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        given = {name: value or "" for name, value in environment.items()}
        given |= {"DATABASE_URL": f"postgresql://filas:secret@127.0.0.1:{port}/filas", "PGSSLROOTCERT": str(authority)}
        migrate = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("filas")),
            *("migrate", "--phase", "pre"),
            env=given,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await migrate.communicate()
    assert migrate.returncode != 0
    assert b"SSL" in said
    # The request for TLS (length 8, code 80877103), and nothing after the refusal.
    assert sent == [struct.pack("!ii", 8, 80877103), b""]


@pytest.mark.parametrize("phase", ["pre", "all"])
def test_the_phases_are_those_of_the_command(phase: str) -> None:
    """`filas migrate` accepts the arguments that the Jobs pass."""
    used = {
        rendered(overlay).container(f"filas-{overlay.rpartition('/')[2]}")["command"][3] for overlay in OVERLAYS[2:]
    }
    assert phase in used
