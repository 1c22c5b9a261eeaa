"""`mlc --help`: the commands in the order of the work."""

from typing import Any, Literal, get_args

import typer.core

Group = Literal["Start", "Look", "Train", "Judge", "Use"]
_GROUPS = get_args(Group)


def in_order(commands: list[Any]) -> list[Any]:
    """Sort commands by their group; within a group they keep their order."""
    return sorted(commands, key=lambda command: _GROUPS.index(command.rich_help_panel))


class GroupedHelp(typer.core.TyperGroup):
    """A section for each group, with the whole summary of each command."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections."""
        del ctx
        longest = max(map(len, self.commands))
        for group in _GROUPS:
            rows = [
                (name.ljust(longest), command.get_short_help_str(limit=80))
                for name, command in self.commands.items()
                if getattr(command, "rich_help_panel", None) == group
            ]
            with formatter.section(group):
                formatter.write_dl(rows)
