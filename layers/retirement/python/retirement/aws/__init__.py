"""Adapters to AWS: each speaks to one service."""
