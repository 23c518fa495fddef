"""The schedule: WHICH operations share a kernel, in which order, in what memory."""
