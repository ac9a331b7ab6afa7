"""Finds the datamarts that the owner's policy retires, and requests their retirement."""
