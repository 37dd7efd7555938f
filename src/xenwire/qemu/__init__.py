"""QEMU as a program: what it can do, its arguments and character devices, its process and its monitor."""
