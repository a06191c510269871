"""Whole topologies in one thread, on virtual time, from a seed (`python -m wavemq.testing`)."""
