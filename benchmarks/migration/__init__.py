"""The benchmark of batch migration: `./callwright bench migration`."""
