"""Patients: which conditions does each of them have?"""

from typing import Any

import numpy as np
import polars as pl

from mlc.demo.rows.generated import Generated, drawn, truth_table

CONDITIONS = ("diabetes", "hypertension", "heart_disease", "asthma", "kidney_disease", "anaemia")
WARDS = ("cardiology", "medicine", "surgery", "lungs", "kidneys")
_UNKNOWN = 0.05
_MISSING = 0.03
SCENARIO = """\
# yaml-language-server: $schema=schema.json
# Which conditions does each patient have? An empty cell says that nobody knows: it is left out.
# Generated data: the truth is known, so the report also shows the best score that any model could reach.
name: patients
data:
  tables:
    patients: {kind: rows, path: patients.parquet, key: patient_id, joins: {wards: ward_id}}
    wards: {kind: dimension, path: wards.csv, key: ward_id}
target:
  table: patients
  columns: {prefix: dx_}                 # dx_diabetes, dx_asthma, …: 0, 1 or empty
  true_probabilities: truth.parquet      # generated data only: leave this out with yours
examples:
  split: {validation: 0.15, test: 0.2, group: family_id}   # a family is in one split
"""


def patients(rows: int, seed: int) -> Generated:
    """Return patients with conditions.

    Args:
        rows: How many.
        seed: Another seed gives other patients.
    """
    noise = np.random.default_rng([seed, 2])
    age = noise.gamma(9.0, 6.0, rows).clip(18, 98)
    bmi = noise.normal(26.5, 4.5, rows).clip(15, 55)
    pressure = noise.normal(112 + 0.35 * (age - 50) + 0.6 * (bmi - 26), 11, rows)
    glucose = noise.normal(92 + 0.9 * (bmi - 26) + 0.25 * (age - 50), 14, rows).clip(55, 300)
    creatinine = noise.lognormal(-0.15 + 0.004 * (age - 50), 0.22, rows)
    haemoglobin = noise.normal(14.0, 1.4, rows)
    smoker = noise.choice(["never", "former", "current"], rows, p=[0.55, 0.25, 0.2])
    sex = noise.choice(["female", "male"], rows)
    ward = noise.choice(len(WARDS), rows)
    current, former = smoker == "current", smoker == "former"
    log_odds = {
        "diabetes": -3.2 + 0.11 * (glucose - 100) + 1.6 * ((age > 55) & (bmi > 29)),
        "hypertension": -1.9 + 0.13 * (pressure - 120) + 0.9 * (sex == "male") * (age > 60),
        "heart_disease": -4.2 + 0.085 * (age - 50) + 1.8 * current + 0.8 * former + 1.9 * (ward == 0),
        "asthma": -3.4 + 2.2 * current + 2.6 * (ward == 3) - 0.02 * (age - 50),
        "kidney_disease": -4.4 + 5.5 * (creatinine - 1.0) + 2.4 * (ward == 4) + 1.2 * (glucose > 125),
        "anaemia": -1.0 - 1.7 * (haemoglobin - 12.6 + 0.7 * (sex == "female")),
    }
    labels_NK, probabilities_NK = drawn(np.stack([log_odds[name] for name in CONDITIONS], axis=1), noise)
    key = pl.Series("patient_id", np.arange(1, rows + 1))
    values: dict[str, Any] = {
        "family_id": noise.integers(1, max(2, rows // 2), rows),
        "ward_id": ward + 1,
        "sex": sex,
        "age": age.round(),
        "bmi": _with_gaps(bmi.round(1), noise),
        "blood_pressure": pressure.round(),
        "glucose": glucose.round(),
        "creatinine": _with_gaps(creatinine.round(2), noise),
        "haemoglobin": haemoglobin.round(1),
        "smoker": smoker,
    }
    unknown_NK = noise.random(labels_NK.shape) < _UNKNOWN
    targets = {
        f"dx_{name}": [None if gap else int(has) for has, gap in zip(labels, gaps, strict=True)]
        for name, labels, gaps in zip(CONDITIONS, labels_NK.T, unknown_NK.T, strict=True)
    }
    table = pl.DataFrame([key]).with_columns(
        *(pl.Series(name, column) for name, column in values.items()),
        *(pl.Series(name, column, dtype=pl.Int8) for name, column in targets.items()),
    )
    beds = [24, 60, 40, 18, 12]
    wards = pl.DataFrame({"ward_id": range(1, len(WARDS) + 1), "specialty": WARDS, "beds": beds})
    truth = truth_table(key, CONDITIONS, probabilities_NK)
    return Generated(SCENARIO, {"patients.parquet": table, "wards.csv": wards, "truth.parquet": truth})


def _with_gaps(values: np.ndarray, noise: np.random.Generator) -> list[float | None]:
    gaps = noise.random(len(values)) < _MISSING
    return [None if gap else float(value) for value, gap in zip(values, gaps, strict=True)]
