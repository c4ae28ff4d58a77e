"""The composition root of `python -m ingest serve`: the public listener, and a private one for metrics and health.

It imports nothing of the API, so that a publicly reachable process holds neither the API nor its token.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from filas.crypto.resume_tokens import ResumeTokens
from filas.crypto.secret_box import SecretBox
from filas.crypto.secret_variables import SecretVariables
from filas.service.private_listener import serve_connections
from filas.service.run_server import ServerParts, run_server
from filas.service.stores import PoolLimits, Stores
from filas.settings.process_settings import IngestServeSettings
from ingest.public_endpoint import Limits, PublicEndpoint, build_public_endpoint
from ingest.receive.readiness import accepting_health

ACQUIRE_TIMEOUT_S: Final = 1.0
"""How long a request waits for a connection to Postgres."""


async def serve(settings: IngestServeSettings, stop: asyncio.Event, environ: Mapping[str, str]) -> None:
    """Runs the process until `stop` is set and the shutdown delay is over.

    It then answers the requests under way, and enqueues the jobs of every event that it has accepted.
    """

    def compose(stores: Stores) -> ServerParts:
        public = _public_endpoint(settings, stores, environ)

        async def drain() -> None:
            await public.acceptor.drain()
            await public.backfill.drain()
            await public.refusals.close()
            await public.duplicates.close()

        async def shutdown_delay() -> None:
            # A load balancer needs a while to notice that the process is not ready, and sends requests until then.
            # `Connection: close` in each answer makes clients with an open connection open another one elsewhere.
            public.listener.draining = True
            await asyncio.sleep(settings.shutdown_delay_s)

        return ServerParts(
            health=accepting_health(stores, public.webhook_cache),
            listener=serve_connections(public.listener, settings.ingest_host, settings.ingest_port),
            background=(
                public.webhook_cache.run(),
                public.listener.watch(),
                public.backfill.run(),
                public.refusals.run(),
                public.duplicates.run(),
            ),
            before_close=shutdown_delay,
            drain=drain,
        )

    port = settings.ingest_serve_admin_port
    pool = PoolLimits(acquire_timeout_s=ACQUIRE_TIMEOUT_S)
    await run_server(settings, stop, name="filas-ingest-serve", admin_port=port, compose=compose, pool=pool)


def _public_endpoint(settings: IngestServeSettings, stores: Stores, environ: Mapping[str, str]) -> PublicEndpoint:
    secret_key = settings.secrets.filas_secret_key.reveal()
    box = SecretBox(secret_key, SecretVariables(environ, settings.secrets.secret_env_allow))
    return build_public_endpoint(
        stores.database,
        stores.redis,
        box.reveal,
        ResumeTokens(secret_key),
        trusted_proxies=settings.trusted_proxies,
        limits=Limits(
            requests_per_address=settings.rate_limit_per_ip,
            failures_per_address=settings.auth_failures_per_ip,
            max_connections=settings.ingest_max_connections,
            body_budget=settings.ingest_body_budget,
        ),
    )
