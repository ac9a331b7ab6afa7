"""What is stored of one retirement, and under which keys."""
