"""The SDK: what a program at a site uses."""
