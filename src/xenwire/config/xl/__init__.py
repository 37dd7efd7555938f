"""What xl makes of a configuration: its keys in its order, its words, and libxl's values (Xen 4.17)."""
