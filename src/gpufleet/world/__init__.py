"""Room world."""
