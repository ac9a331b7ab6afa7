"""Carries out a retirement: workflow, rules, ports and settings."""
