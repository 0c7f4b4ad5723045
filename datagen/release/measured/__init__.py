"""What a release is measured by: its filters, its leaks, its diversity, and how sure each figure is."""
