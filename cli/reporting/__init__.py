"""The page about the evidence: what the bucket tells, and how it is shown."""
