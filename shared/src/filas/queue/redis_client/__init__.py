"""The connection to Redis, the Lua scripts, and the names of a queue's keys."""
