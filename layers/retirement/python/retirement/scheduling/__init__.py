"""Stores the date of a retirement, moves it, reminds of it, and cancels a retirement."""
