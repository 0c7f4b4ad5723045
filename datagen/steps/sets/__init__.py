"""Verbs that see the whole set."""
