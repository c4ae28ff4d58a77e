"""The pages of the flow editor: the canvas, its data, and the answers to its scripts."""
