"""Takes signed requests from outside AWS."""
