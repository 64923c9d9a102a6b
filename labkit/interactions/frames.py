"""Your own DataFrame as cases: one a column."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from labkit.interactions.cases import Case, case
from labkit.interactions.values import UNITS, Instant


def from_frame(frame: pd.DataFrame) -> tuple[Case, ...]:
    """Each column of the frame as a case of its own name, typed as Arrow types it.

    Raises ValueError for something that is not a DataFrame, has no columns, or has a column Arrow has no type for.
    """
    if not isinstance(frame, pd.DataFrame) or not len(frame.columns):
        raise ValueError("matrix.run: table: must be a pandas DataFrame with at least one column")
    return tuple(case(str(name), *_typed(str(name), frame.iloc[:, i]), "your own column")
                 for i, name in enumerate(frame.columns))


def _typed(name: str, series: pd.Series[Any]) -> tuple[Any, list[Any]]:
    try:
        array = pa.Array.from_pandas(series)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as e:
        raise ValueError(f"matrix.run: table: column {name!r} mixes types: {str(e).splitlines()[0]}") from None
    kind = array.type
    if pa.types.is_timestamp(kind):
        ticks = array.cast(pa.int64()).to_pylist()
        return kind, [None if tick is None else Instant(tick * UNITS[kind.unit], kind.tz) for tick in ticks]
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        kind = pa.string()
    return kind, array.to_pylist()


