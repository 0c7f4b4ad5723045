"""Reads what people wrote: specs, prompts, recipes, lists; plain data, with the line of every word."""
