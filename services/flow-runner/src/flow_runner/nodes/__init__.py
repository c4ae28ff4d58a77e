"""The node types: one module each runs the visits of one type. The fields of its data are in `filas.flows.nodes`.

A new type is one module here and one line in `flow_runner.nodes.node_runners`.
"""
