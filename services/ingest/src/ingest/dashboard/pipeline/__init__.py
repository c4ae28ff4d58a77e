"""The pipeline as one picture: what is in it, where each finding belongs, and where each part is drawn."""
