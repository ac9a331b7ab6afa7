"""Retire Databrain datamarts: once, only as asked, with a verified backup and a clear result."""
