"""Verbs that see one row."""
