"""Who may ask now: limits per minute, places in flight, outages, money; one governor for the whole build."""
