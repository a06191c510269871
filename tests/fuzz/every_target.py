"""All fuzz targets by name."""

from __future__ import annotations

from tests.fuzz import (
    agent_targets,
    authority_targets,
    gateway_targets,
    jedi_targets,
    kernel_targets,
    name_targets,
    object_targets,
    text_targets,
    wire_targets,
)
from tests.fuzz.fuzz_target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for part in (
        object_targets,
        agent_targets,
        authority_targets,
        gateway_targets,
        name_targets,
        jedi_targets,
        kernel_targets,
        wire_targets,
        text_targets,
    )
    for target in part.TARGETS
}
