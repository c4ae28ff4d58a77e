"""The circuits of the stores as metrics."""

from typing import get_args

from filas.observability.metrics import STORE_CIRCUITS, STORE_UP
from filas.store_circuit import State, StoreCircuit

_STATES: tuple[State, ...] = get_args(State)


def report_circuit(circuit: StoreCircuit) -> None:
    """Sets the metrics of the circuit."""
    for state in _STATES:
        STORE_CIRCUITS.labels(circuit.name, state).set(circuit.state == state)
    STORE_UP.labels(circuit.name).set(circuit.problem is None)
