"""What leaves the house: shards, catalogue, card, report, and the way to the Hub."""
