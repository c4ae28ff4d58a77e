"""The queue engine: arq's keys and job format, claimed and finished in batches by Lua scripts."""
