"""Rows that say the same: found by words, and where wanted by meaning."""
