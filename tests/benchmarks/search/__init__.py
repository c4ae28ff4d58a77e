"""How long searches take among millions of rows, and how fast the index of words is built."""
