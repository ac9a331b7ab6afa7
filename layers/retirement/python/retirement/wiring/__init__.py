"""Puts each function together: one module for each function, and one for what they share."""
