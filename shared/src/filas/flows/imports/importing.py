"""Imports a document of another product: a flow that can be published, with a report on each block."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

import msgspec

from filas.flows.imports import publishable_flow
from filas.flows.imports.flow_builder import FlowBuilder, ImportRefused
from filas.flows.imports.import_report import BlockReport, ImportedBlock
from filas.flows.imports.n8n.n8n_import import N8nImport
from filas.flows.imports.typebot.typebot_import import TypebotImport
from filas.flows.problems import FlowProblem

Product = Literal["typebot", "n8n"]

PRODUCTS: Final[tuple[Product, ...]] = ("typebot", "n8n")


class ImportedFlow(msgspec.Struct, frozen=True):
    """The definition, the result for each block, and the warnings of the publishing checks."""

    definition: dict[str, Any]
    blocks: list[ImportedBlock]
    problems: list[FlowProblem]


class _Conversion(Protocol):
    builder: FlowBuilder
    report_of: dict[str, BlockReport]

    def blocks(self) -> list[ImportedBlock]: ...


_CONVERSIONS: Final[Mapping[Product, Callable[[object], _Conversion]]] = {"typebot": TypebotImport, "n8n": N8nImport}


def import_flow(product: Product, document: object) -> ImportedFlow:
    """Converts a document. Raises ImportRefused, and nothing else, whatever the document is."""
    conversion = _CONVERSIONS[product](document)
    definition, problems = publishable_flow.finish(conversion.builder, conversion.report_of)
    return ImportedFlow(definition, conversion.blocks(), problems)


__all__ = ["PRODUCTS", "ImportRefused", "ImportedFlow", "Product", "import_flow"]
