"""Where messages go: one module a type of channel, behind one protocol (`channel`) and one table (`registry`)."""
