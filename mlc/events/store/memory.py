"""How much memory may be used: what the scenario says, or half of what there is."""

import os
from collections.abc import Iterator
from pathlib import Path

from mlc.scenario import EventScenario, memory_bytes

_GROUPS = Path("/sys/fs/cgroup")


def memory_limit(scenario: EventScenario) -> int:
    """The memory limit of a scenario in bytes.

    `data.memory_limit`, or half of the machine's memory. Where a container or a batch system allows less than
    the machine has, half of that.
    """
    if scenario.data.memory_limit is not None:
        return memory_bytes(scenario.data.memory_limit)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_group_limits(Path("/proc/self/cgroup"), _GROUPS)]) // 2


def _group_limits(own: Path, groups: Path) -> Iterator[int]:
    """The limits of the control groups around this process, of either version.

    None outside Linux.

    Args:
        own: The file with a line `number:controllers:/path` for each hierarchy.
        groups: Where the hierarchies are mounted.
    """
    for line in own.read_text().splitlines() if own.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mounted = groups / "memory" if controllers else groups
        group = mounted / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(mounted):
                break
            for name in ("memory.max", "memory.limit_in_bytes"):
                file = folder / name
                if file.is_file() and (text := file.read_text().strip()).isdigit():
                    yield int(text)
