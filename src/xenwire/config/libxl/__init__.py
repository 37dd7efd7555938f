"""libxl's types as Python values, and their JSON, for Xen 4.12 and later.

`types` has the configuration of a domain and all that hangs on it, `reports` what libxl tells of running
domains and of the host. Both are generated from `types.txt` by scripts/libxl-types. Import the modules that
you need: none is imported here, to keep the start of programs short.
"""
