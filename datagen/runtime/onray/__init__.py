"""On Ray: the whole door to it, for work (actors) and for jobs that are submitted."""
