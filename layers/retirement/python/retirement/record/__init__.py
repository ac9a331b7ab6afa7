"""What is kept of one retirement."""
