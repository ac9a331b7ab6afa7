"""Adapters to AWS: each calls one service."""
