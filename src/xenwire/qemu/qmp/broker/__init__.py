"""One monitor for many clients: the server's side of QMP.

`parser` and `session` are pure: a client's bytes, read as QEMU reads them. `access` says what a socket lets
through, `descriptors` keeps the descriptors of clients apart, `connection` is a client's socket, and `broker`
brings them together over one `QmpClient`.
"""
