"""Topics, filters, and messages with what is signed of them."""
