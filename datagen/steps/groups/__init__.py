"""Verbs that see the children of one row."""
