"""The commands `wavemq`, `wv` and `waved`."""
