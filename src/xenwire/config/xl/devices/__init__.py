"""The lists of devices: for each class of device a function that reads its key as xl does (Xen 4.17)."""
