"""One module for each function, and what they share."""
