"""How many connections fit the limit of open files."""

from __future__ import annotations

import resource

import pytest

from wavemq.router.descriptors import ConnectionBounds, bounds_within, connection_bounds

WANTED = ConnectionBounds(programs=10_000, links=4096, handshakes=256)


def test_what_is_wanted_fits_a_high_limit() -> None:
    assert bounds_within(1 << 20, WANTED) == WANTED


@pytest.mark.parametrize("files_max", [1, 2, 256, 1024, 4096, 16_384])
def test_connections_leave_descriptors_for_everything_else(files_max: int) -> None:
    found = bounds_within(files_max, WANTED)
    assert min(found.programs, found.links, found.handshakes) >= 1
    if files_max >= 256:
        used = found.programs + found.links + found.handshakes
        assert used <= files_max - min(512, files_max // 2)


def test_limit_of_open_files_is_raised_as_far_as_needed() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
        found = connection_bounds(WANTED)
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert found == bounds_within(soft, WANTED)
        assert soft > 1024 or before[1] <= 1024
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
