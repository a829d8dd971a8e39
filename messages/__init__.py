"""What the gateway and the worker say to each other, and nothing else of either."""
