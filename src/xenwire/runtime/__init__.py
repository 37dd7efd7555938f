"""One way to spawn, lock, listen, write files and end a program. Knows nothing of domains."""
