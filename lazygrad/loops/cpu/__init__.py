"""Loop passes for a CPU: register tiles, packed panels, threads, vectors of rows."""
