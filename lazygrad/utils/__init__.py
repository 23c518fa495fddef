"""Beside the networks: `data`, data sets and their batches."""

from __future__ import annotations

from . import data

__all__ = ["data"]
