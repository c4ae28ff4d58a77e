"""What two services must agree on: job messages, queue policies, ids and the shared state of channels."""
