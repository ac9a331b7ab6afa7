"""Carrying out a retirement."""
