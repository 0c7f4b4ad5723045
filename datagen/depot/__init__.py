"""A folder on an object store: what lies there, its mirror on this disk, and the lock by which one run at a time has it."""
