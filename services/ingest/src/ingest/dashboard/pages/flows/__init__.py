"""The pages of flows: the list, the traffic on the picture of a flow, its versions, and what uses it."""
