"""Creating a datamart again from its backup, with the embeds that went with it."""
