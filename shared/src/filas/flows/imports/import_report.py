"""The report of an import: one entry for each block of the other product, and what its author has to do.

| status     | meaning                                                                                              |
|------------|------------------------------------------------------------------------------------------------------|
| `carried`  | the block does the same here                                                                         |
| `changed`  | the block is here, and differs as the notes state                                                    |
| `left-out` | the block is not here. If something would have run, a delay of 0 ms with its name is in its place     |
"""

from typing import Literal

import msgspec

from filas.flows.imports.foreign_fields import one_line
from filas.flows.imports.note_texts import NOTE_TEXTS

Status = Literal["carried", "changed", "left-out"]

MAX_NOTES = 20
"""How many notes one block has at most."""


class ImportNote(msgspec.Struct, frozen=True, rename="camel"):
    """A difference or an advice. `code` never changes; `message` is the text in English with the `parameters`."""

    code: str
    message: str
    parameters: dict[str, str]


class ImportedBlock(msgspec.Struct, frozen=True, rename="camel"):
    """The result for one block: `id`, `type` and `place` (its group, or its name) in the other product, and the
    `nodes` of the flow that it is now."""

    id: str
    type: str
    place: str
    status: Status
    nodes: list[str]
    notes: list[ImportNote]


class BlockReport:
    """Collects what is reported of one block."""

    def __init__(self, block_id: str, kind: str, place: str) -> None:
        self._id, self._type, self._place = one_line(block_id), one_line(kind), one_line(place)
        self._notes: dict[str, ImportNote] = {}
        self.nodes: list[str] = []
        self.status: Status = "carried"

    def add(self, code: str, /, **parameters: object) -> None:
        """Adds a note. Its code decides the status; the worst one counts."""
        status, text = NOTE_TEXTS[code]
        if status == "left-out" or (status == "changed" and self.status == "carried"):
            self.status = status
        given = {name: one_line(value) for name, value in parameters.items()}
        message = text.format(**given)
        if len(self._notes) < MAX_NOTES:
            self._notes.setdefault(message, ImportNote(code, message, given))

    def clear(self) -> None:
        """Forgets the notes, before the block is left out for another reason."""
        self._notes.clear()

    def finished(self) -> ImportedBlock:
        """The entry of the block."""
        notes = list(self._notes.values())
        return ImportedBlock(self._id, self._type, self._place, self.status, self.nodes, notes)
