"""Damaged text: loops, cuts, wrong encodings, noise of scanners, texts spliced together or put out of order."""
