"""The backends: one folder a target, each with `codegen` (pure: loops to text) and `device`."""
