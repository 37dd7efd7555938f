"""QMP, QEMU's monitor protocol: `session` is the pure protocol, `client` speaks it over `transports`."""
