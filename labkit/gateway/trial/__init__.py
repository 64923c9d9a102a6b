"""What a gateway is tried with: an engine that fails as it is told, and a storm of clients."""
