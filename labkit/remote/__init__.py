"""Part 5: one call, and what was put around it in forty years."""
