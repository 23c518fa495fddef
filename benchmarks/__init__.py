"""Timings of lazygrad beside PyTorch: `python -m benchmarks`."""
