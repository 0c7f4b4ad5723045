"""Canaries: rows known to be good or bad that go through a build's judging steps and nowhere else, so that it can tell how sure they are."""
