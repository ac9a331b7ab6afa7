"""Finding the datamarts that a policy has retired."""
