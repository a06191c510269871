"""Local disk: the journal and the retained store. Knows bytes and integers, not messages."""
