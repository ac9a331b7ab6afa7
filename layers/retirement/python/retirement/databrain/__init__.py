"""All that knows Databrain."""
