"""The composition root of `python -m ingest serve`: the public listener, and a private one for metrics and health.

It imports nothing of the API, so that a publicly reachable process holds neither the API nor its token.
"""

import asyncio
from collections.abc import Mapping

from filas.crypto.resume_tokens import ResumeTokens
from filas.crypto.secret_box import SecretBox
from filas.service.garbage_collection import collect_rarely
from filas.service.private_listener import build_private_app, serve_app, serve_connections
from filas.service.stores import Stores, cancel_and_wait, open_stores
from filas.settings.process_settings import IngestServeSettings
from ingest.public_endpoint import Limits, PublicEndpoint, build_public_endpoint
from ingest.receive.readiness import accepting_health


async def serve(settings: IngestServeSettings, stop: asyncio.Event, environ: Mapping[str, str]) -> None:
    """Runs the process until `stop` is set and the shutdown delay is over.

    It then answers the requests under way, and enqueues the jobs of every event that it has accepted.
    """
    collect_rarely()
    async with open_stores(settings, "filas-ingest-serve") as stores:
        public = _public(settings, stores, environ)
        health = accepting_health(stores, public.webhook_cache)
        private = build_private_app(health, hosts=settings.admin.admin_hosts)
        parts = (public.webhook_cache.run(), public.listener.watch(), public.backfill.run(), stores.probe())
        background = [asyncio.create_task(part) for part in parts]
        try:
            async with (
                serve_app(private, settings.admin.admin_host, settings.ingest_serve_admin_port),
                serve_connections(public.listener, settings.ingest_host, settings.ingest_port),
            ):
                await stop.wait()
                # A load balancer needs a while to notice that the process is not ready, and sends requests until then.
                # `Connection: close` in each answer makes clients with an open connection open another one elsewhere.
                health.draining = public.listener.draining = True
                await asyncio.sleep(settings.shutdown_delay_s)
            await public.acceptor.drain()
        finally:
            await cancel_and_wait(*background)


def _public(settings: IngestServeSettings, stores: Stores, environ: Mapping[str, str]) -> PublicEndpoint:
    secret_key = settings.secrets.filas_secret_key.reveal()
    box = SecretBox(secret_key)
    return build_public_endpoint(
        stores.database,
        stores.redis,
        lambda secret: box.reveal(secret, environ),
        ResumeTokens(secret_key),
        trusted_proxies=settings.trusted_proxies,
        limits=Limits(
            requests_per_address=settings.rate_limit_per_ip,
            failures_per_address=settings.auth_failures_per_ip,
            max_connections=settings.ingest_max_connections,
            body_budget=settings.ingest_body_budget,
        ),
    )
