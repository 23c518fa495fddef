"""Beside the networks: `data`, data sets and their batches; `checkpoint`, which saves memory."""

from __future__ import annotations

from . import checkpoint, data

__all__ = ["checkpoint", "data"]
