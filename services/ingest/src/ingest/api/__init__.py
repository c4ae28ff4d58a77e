"""The API on ingest's private listener: configuration, queues and the history of what ran."""
