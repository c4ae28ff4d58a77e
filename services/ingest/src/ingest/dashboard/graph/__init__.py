"""The picture of a flow: where its nodes and edges are, and the SVG that shows them."""
