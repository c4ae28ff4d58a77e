"""How long the pages of the dashboard take among millions of rows, and what open pages cost the public endpoint."""
