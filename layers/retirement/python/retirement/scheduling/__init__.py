"""Keeping the date of a retirement, and cancelling one."""
