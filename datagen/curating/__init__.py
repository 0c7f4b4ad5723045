"""What is kept, looked at again: other thresholds for what is out, and recipes held against labelled rows."""
