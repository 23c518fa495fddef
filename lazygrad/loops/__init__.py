"""The loops: HOW one kernel computes. `ir` has the grammar; then one file a pass."""
