"""Taking signed requests from outside AWS."""
