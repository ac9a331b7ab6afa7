"""Restores a deleted datamart from its backup, with the embeds that were deleted with it."""
