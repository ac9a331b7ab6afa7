"""What the functions share that take events from a queue: validating an event, and answering it."""
