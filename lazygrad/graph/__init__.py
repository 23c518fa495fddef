"""The graph: WHAT to compute. `ir` has the grammar and the nodes; each pass is a file."""
