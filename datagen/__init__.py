"""datagen: synthetic teacher data for people who train small language models."""

__version__ = "0.1.0"
