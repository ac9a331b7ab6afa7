"""`datamart`, the operators' command line."""
