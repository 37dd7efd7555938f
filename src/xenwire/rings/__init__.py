"""Shared-memory rings between domains: layouts and index arithmetic. Opens nothing, maps nothing.

Refused where the processor may reorder what the layouts rely on: x86-64's order of loads and stores is
enough, and nothing in Python makes another's so.
"""
