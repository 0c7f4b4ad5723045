"""The simulator as a process: HTTP, what each path does, limits, faults, and the books."""
