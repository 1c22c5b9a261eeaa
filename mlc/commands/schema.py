"""`mlc schema`: the JSON schema of the scenario, or of `report.json`."""

import json

from mlc.scenario import scenario_schema


def schema(*, of_report: bool = False) -> str:
    """Return a JSON schema as text.

    Args:
        of_report: That of `report.json` instead of the scenario's.
    """
    if of_report:
        from mlc.report import report_schema

        return json.dumps(report_schema(), indent=1, ensure_ascii=False) + "\n"
    return json.dumps(scenario_schema(), indent=1, ensure_ascii=False) + "\n"
