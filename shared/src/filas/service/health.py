"""Whether a process can do its work, as `/readyz` reports it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from filas.observability.metrics import STORE_UP
from filas.store_circuit import StoreCircuit

if TYPE_CHECKING:
    from filas.service.stores import Stores

Check = Callable[[], str | None]
"""Returns None if the part works, or the reason why it does not. It must not wait: it reports what the part knows."""

_STORES: Final = frozenset({"redis", "postgres"})


class Health:
    """The named checks of one process. The process is ready when no check reports a problem."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._optional_while: dict[str, Callable[[], bool]] = {}
        self._circuits: list[StoreCircuit] = []
        self.draining = False
        """Set when the process stops. It then reports that it is not ready, so that it gets no new work."""

    def add(self, name: str, check: Check, *, optional_while: Callable[[], bool] | None = None) -> None:
        """Adds a check. The checks `redis` and `postgres` also set the metric filas_store_up.

        A failing check does not make the process unready while `optional_while` returns True.
        """
        self._checks[name] = check
        if optional_while is not None:
            self._optional_while[name] = optional_while

    def add_circuits(self, *circuits: StoreCircuit) -> None:
        """Adds circuits that `/readyz` shows. They do not decide whether the process is ready."""
        self._circuits += circuits

    def circuits(self) -> dict[str, str]:
        """Returns the state of every circuit by the name of its store."""
        return {circuit.name: circuit.state for circuit in self._circuits}

    def add_stores(self, stores: "Stores") -> None:
        """Adds the checks of both stores: the process needs each of them."""
        self.add("redis", lambda: stores.redis.problem)
        self.add("postgres", lambda: stores.database.problem)
        self.add_circuits(stores.redis.watch.circuit, stores.database.watch.circuit)

    def problems(self) -> dict[str, str]:
        """Returns the reason of every failing check by its name. An empty result means ready."""
        found: dict[str, str] = {"process": "draining"} if self.draining else {}
        for name, check in self._checks.items():
            reason = check()
            optional = self._optional_while.get(name)
            if reason is not None and not (optional is not None and optional()):
                found[name] = reason
            if name in _STORES:
                STORE_UP.labels(name).set(reason is None)
        return found
