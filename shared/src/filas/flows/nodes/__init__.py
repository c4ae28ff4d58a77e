"""One module a node type: its fields with their defaults, its ways out, and its own checks.

What running a node does is in flow-runner. A new type is one module here and one line in `registry`.
"""
