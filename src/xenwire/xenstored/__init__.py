"""The store's daemon: a pure engine, and the Unix socket that it serves."""
