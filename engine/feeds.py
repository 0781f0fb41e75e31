"""Keep feeds: every row, its outcome, the rows in quarantine, events seen."""
