"""The routes of operation: queues, scaling, doctor."""
