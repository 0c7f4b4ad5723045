"""Benchmark items in rows: word for word, in other words, with other numbers."""
