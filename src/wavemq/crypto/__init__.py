"""Hashing, signatures, key exchange, and the pairing schemes under WAVE."""
