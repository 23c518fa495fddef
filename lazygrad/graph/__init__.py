"""The graph: WHAT to compute. `ir` has the grammar; then one file a pass."""
