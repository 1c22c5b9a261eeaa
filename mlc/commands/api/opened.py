"""A finished run: its report and predictions, and new predictions of any tables."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlc.commands.api.progress import log
from mlc.commands.moments import given_moment
from mlc.run import RunFolder

if TYPE_CHECKING:
    import polars as pl

_NESTED = ("threshold_estimate",)


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run of `mlc train`, or of `mlc pretrain`, which only embeds.

    Tables are returned as frames of Polars, or of pandas where a frame of pandas was given.
    """

    _run: RunFolder

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return self._run.folder

    @property
    def report(self) -> dict[str, Any]:
        """Everything in `report.json`; `mlc schema --report` describes it."""
        report: dict[str, Any] = self._run.read_json("report.json")
        return report

    @property
    def scorecard(self) -> "pl.DataFrame":
        """How good the model is on the test split, one row per label, its name in `name`."""
        import polars as pl

        rows = self.report["splits"]["test"]["labels"]
        return pl.DataFrame(
            [{key: value for key, value in row.items() if key not in _NESTED} for row in rows],
            infer_schema_length=None,
        )

    @property
    def predictions(self) -> "pl.DataFrame":
        """The scores of all examples: their keys, `split`, and one column per label."""
        import polars as pl

        from mlc.tables import RAW_SCORES, SCORES, scores_of

        with self._run.reading("predictions.parquet") as path:
            table = pl.read_parquet(path)
        columns = zip(self.thresholds, scores_of(table).T, strict=True)
        return table.drop(SCORES, RAW_SCORES).with_columns(
            pl.Series(name, scores_N) for name, scores_N in columns
        )

    @property
    def thresholds(self) -> dict[str, float | None]:
        """Label → the score from which it is a yes; None for a label without decisions."""
        from mlc.models.decisions import stored_thresholds

        return {threshold.name: threshold.value for threshold in stored_thresholds(self._run)}

    def predict(
        self,
        as_of: str | date | None = None,
        *,
        tables: Mapping[str, Any] | None = None,
        entities: Iterable[Any] | None = None,
        threshold: str = "stored",
    ) -> Any:
        """Score entities at a cutoff, and decide.

        Args:
            as_of: The cutoff; by default the last observed time.
            tables: Name → a frame of Polars or pandas, or a path, in the place of that table of the run.
            entities: Only these; by default every entity with history.
            threshold: As `--threshold` of `mlc predict`: `stored`, `0.4`, `Dress=0.3`, or a file.

        Returns:
            A frame with one row per entity: `entity_id`, `cutoff`, `run`, the score of each label, each
            decision, and each contact where the scenario has a budget.

        Raises:
            MlcError: The tables do not fit, an entity is unknown, or a threshold makes no sense.
        """
        from mlc.commands.predict import Request, predict

        chosen = None if entities is None else [str(entity) for entity in entities]
        request = Request(_moment(as_of), threshold, entities=chosen)
        with self._with(tables) as (run, kind):
            return kind(predict(run, request, log).wide())

    def embed(self, as_of: str | date | None = None, *, tables: Mapping[str, Any] | None = None) -> Any:
        """Return a vector of every entity with history.

        It comes from a foundation model or a trained memory.

        Args:
            as_of: The cutoff; by default the last observed time.
            tables: As of `predict`.

        Returns:
            A frame with `entity_id`, `cutoff`, `vector`.

        Raises:
            MlcError: The tables do not fit, or the run has no memory.
        """
        from mlc.commands.embed import embed

        with self._with(tables) as (run, kind):
            return kind(embed(run, _moment(as_of), log))

    @contextmanager
    def _with(self, tables: Mapping[str, Any] | None) -> Iterator[tuple[RunFolder, Any]]:
        """The run with other tables, and what turns a frame into the kind that was given."""
        from mlc.commands.api.frames import as_pandas, as_polars, is_pandas, with_tables

        frames = tables or {}
        with with_tables(self._run, frames) as run:
            yield run, as_pandas if any(map(is_pandas, frames.values())) else as_polars

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        verdict = self.report.get("verdict")
        if verdict is None:  # a foundation model
            return f"<p>{escape(repr(self))}</p>"
        table = self.scorecard.select("name", "support", "prevalence", "auroc", "ap", "threshold")
        return f"<p><b>{escape(self.folder.name)}</b>: {escape(verdict)}</p>{table._repr_html_()}"


def _moment(as_of: str | date | None) -> datetime | None:
    if isinstance(as_of, str):
        return given_moment(as_of, "as_of")
    if as_of is None or isinstance(as_of, datetime):
        return as_of
    return datetime.combine(as_of, time())
