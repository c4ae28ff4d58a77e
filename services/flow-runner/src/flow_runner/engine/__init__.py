"""The flow engine. It imports no queue, no database, no HTTP server and no node type."""
