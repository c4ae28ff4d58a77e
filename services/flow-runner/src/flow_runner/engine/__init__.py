"""The flow engine. It knows no queue, no database and no HTTP server."""
