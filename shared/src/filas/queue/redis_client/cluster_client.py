"""redis-py's client of a Redis Cluster, which finds the nodes again after all of them have failed."""

from typing import Any

from redis.asyncio.cluster import ClusterNode, RedisCluster


class ClusterClient(RedisCluster):
    """A client that always keeps a node to ask for the hash slots: the configured one and those of the last answer.

    redis-py asks `startup_nodes`. It replaces the configured node by those of the first answer, and removes a node on
    which a command fails. A failure on one node also closes the connections to the others, so the commands in progress
    there fail too. When all nodes are removed, redis-py never connects again.
    """

    def __init__(self, *, host: str, port: int, **options: Any) -> None:
        super().__init__(host=host, port=port, **options)
        self._configured = (host, port)

    async def initialize(self) -> "ClusterClient":
        """Reads the hash slots, unless they are known. Asks the removed nodes after the others."""
        if self._initialize:
            manager = self.nodes_manager
            nodes = _Nodes(manager.startup_nodes)
            for host, port in (*((node.host, node.port) for node in manager.nodes_cache.values()), self._configured):
                # A new object, because redis-py keeps a connection for each failed attempt in the old one.
                node = ClusterNode(host, port, **manager.connection_kwargs)
                nodes.setdefault(node.name, node)
            manager.startup_nodes = nodes
        await super().initialize()
        return self


class _Nodes(dict[str, ClusterNode]):
    """Nodes by name. redis-py removes nodes while another task goes through them, so `values()` is a copy."""

    def values(self) -> Any:
        return list(super().values())
