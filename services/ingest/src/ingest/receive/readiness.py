"""The readiness of a process that accepts events."""

from filas.service.health import Health
from filas.service.stores import Stores
from ingest.receive.webhook_cache import WebhookCache


def accepting_health(stores: Stores, webhook_cache: WebhookCache) -> Health:
    """Returns the health checks of a process that accepts events.

    The process is ready after it has read the webhooks once, for as long as one of the stores is available: it accepts
    events with one store, so a load balancer must not take it out of service.
    """
    redis, database = stores.redis, stores.database
    health = Health()
    health.add(
        "redis", lambda: redis.problem, optional_while=lambda: webhook_cache.is_loaded and database.problem is None
    )
    health.add(
        "postgres", lambda: database.problem, optional_while=lambda: webhook_cache.is_loaded and redis.problem is None
    )
    health.add_circuits(redis.watch.circuit, database.watch.circuit)
    health.add("webhooks", lambda: None if webhook_cache.is_loaded else "not read yet")
    return health
