"""What a run tells: the person at the terminal, the log, the metrics, its record, and whoever is to be told when it is over."""
