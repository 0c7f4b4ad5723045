"""How a plan is carried out: every stretch to its end, round after round of paid batches, and a pilot before the whole."""
