"""The public listener: connections, requests and answers."""
