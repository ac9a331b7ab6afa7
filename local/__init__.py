"""The embedded stack: the deployed template and Databrain's API on one machine, with no account."""
