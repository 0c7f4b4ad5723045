"""Paid batches: jobs that both providers' batch APIs take, work on, and sometimes lose, delay, fail or let expire."""
