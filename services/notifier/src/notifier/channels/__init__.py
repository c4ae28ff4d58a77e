"""One module for each type of channel, with one protocol (`channel`) and one table (`channel_types`)."""
