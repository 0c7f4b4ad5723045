"""Personal data: what finds it, what proves it, and how it is masked."""
