"""The benchmark of the number inventory, as a folder: a file `numbers.py` would shadow the standard library."""
