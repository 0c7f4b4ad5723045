"""The simulated teacher: a local server on both wires whose answers are true, varied, free, and wrong only where asked."""
