"""One module for each node type: its fields with their defaults, its handles, and its own checks.

The flow-runner has the code that runs a node. A new type needs one module here and one line in `node_types`.
"""
