"""What a text says, against what was asked: its words, its level, its source, its question."""
