"""n8n: workflows that consist of nodes that flows have too."""
