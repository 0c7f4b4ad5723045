"""What a round of paid batches keeps on disk, how it finds a lost submission again, and how it takes in results."""
