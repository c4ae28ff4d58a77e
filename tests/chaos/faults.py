"""Which module makes each kind of fault."""

from collections.abc import Mapping
from typing import Final

from tests.chaos.installation import Maker
from tests.chaos.outside_faults import OUTSIDE_FAULTS
from tests.chaos.process_faults import PROCESS_FAULTS
from tests.chaos.sender_faults import SENDER_FAULTS
from tests.chaos.store_faults import STORE_FAULTS

FAULTS: Final[Mapping[str, Maker]] = {**PROCESS_FAULTS, **STORE_FAULTS, **OUTSIDE_FAULTS, **SENDER_FAULTS}
"""How each kind of the schedule is made."""
