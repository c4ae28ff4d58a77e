"""`execution.resumeUrls`: the addresses at which the flow's callbacks are made."""

from collections.abc import Callable, Iterator, Mapping, Sequence


class ResumeUrls(Mapping[str, str]):
    """The address for each node that awaits a callback. An address is made when a template reads it."""

    def __init__(self, node_ids: Sequence[str], address: Callable[[str], str]) -> None:
        self._node_ids = node_ids
        self._address = address

    def __getitem__(self, node_id: str) -> str:
        if node_id not in self._node_ids:
            raise KeyError(node_id)
        return self._address(node_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._node_ids)

    def __len__(self) -> int:
        return len(self._node_ids)
