"""The backends: one folder a language, each with `codegen` (pure: loops to text) and `device`."""
