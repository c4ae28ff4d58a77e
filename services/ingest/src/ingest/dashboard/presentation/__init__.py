"""How the pages show texts, times, numbers, states and charts. Nothing here reads a store."""
