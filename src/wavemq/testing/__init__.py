"""Simulated clock, storage and processes for the tests of programs that use WAVEMQ."""
