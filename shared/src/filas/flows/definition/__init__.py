"""The definition of a flow: its types, its graph, and how it is read."""
