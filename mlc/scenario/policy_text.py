"""Threshold policies as they are written on the command line, such as `top_n=500`."""

import re

from mlc.errors import MlcError, Problem, did_you_mean
from mlc.scenario.thresholds import POLICIES


def policy_yaml(text: str) -> str:
    """Return `top_n=500` as `{top_n: 500}`; further fields follow after commas.

    Raises:
        MlcError: There is no such policy, or it needs more than one number.
    """
    if "=" not in text or "{" in text:
        return text
    _check_kind(text)
    fields = re.sub(r"(^|,)([^,=]*)=", r"\1 \2: ", text)
    return f"{{{fields.strip()}}}"


def _check_kind(text: str) -> None:
    """Refuse `kind=value` if the kind does not exist or takes something else."""
    place = f"--policy {text}"
    kind, _, value = (part.strip() for part in re.split(r",[^,=]*=", text)[0].partition("="))
    if kind == "cost":
        numbers = [*re.findall(r"[0-9]*\.?[0-9]+", value), "1", "5"]
        example = f"{{cost: {{false_positive: {numbers[0]}, false_negative: {numbers[1]}}}}}"
        raise MlcError(Problem(f'cost needs two numbers. Write "{example}".', "", place))
    if kind not in POLICIES:
        near = did_you_mean(kind, POLICIES)
        advice = f"{near[:-1]}={value}?" if near.endswith("?") else near
        raise MlcError(Problem(f"unknown policy {kind}, {advice}", "", place))
    if re.fullmatch(r"[0-9]+,[0-9]+", value):
        raise MlcError(Problem(f"write decimals with a point: {kind}={value.replace(',', '.')}", "", place))
    if percent := re.fullmatch(r"([0-9.]+) ?%", value):
        raise MlcError(Problem(f"write a share from 0 to 1: {kind}={float(percent[1]) / 100:g}", "", place))
