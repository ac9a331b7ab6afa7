"""Everything that knows Databrain's API."""
