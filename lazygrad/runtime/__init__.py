"""Memory, compiled programs, and running them."""
