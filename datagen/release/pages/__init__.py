"""The card and the report as templates, and the figures they show."""
