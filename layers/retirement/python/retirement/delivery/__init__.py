"""What the functions share that take events from a queue: validating an event, answering it, and ending a request."""
