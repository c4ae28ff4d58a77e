"""One module a node type: what running it does. Its fields are in `filas.flows.nodes`.

A new type is one module here and one line in `flow_runner.nodes.node_runners`.
"""
