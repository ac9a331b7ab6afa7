"""A stand-in for Databrain's REST API, as its published pages describe it."""
