"""What an engine says about itself at /metrics, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


class Metrics(Mapping[str, float]):
    """Samples by name: `metrics["vllm:prompt_tokens_total"]` is the sum over all labels.

    >>> m = Metrics('done_total{reason="stop"} 3\\ndone_total{reason="length"} 1\\n')
    >>> m["done_total"], m.by("done_total", "reason")
    (4.0, {'stop': 3.0, 'length': 1.0})
    """

    def __init__(self, text: str):
        self.samples: dict[str, list[Sample]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self.samples.setdefault(sample.name, []).append(sample)

    def __getitem__(self, name: str) -> float:
        """Sum of the samples `name`; KeyError if the engine does not export it."""
        return float(sum(sample.value for sample in self.samples[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)

    def by(self, name: str, label: str) -> dict[str, float]:
        """The samples `name` summed for each value of `label`."""
        found: dict[str, float] = {}
        for sample in self.samples[name]:
            value = sample.labels.get(label, "")
            found[value] = found.get(value, 0.0) + sample.value
        return found

    def labels(self, name: str) -> dict[str, str]:
        """The labels of the first sample `name`, for metrics that only carry labels (`vllm:cache_config_info`)."""
        return dict(self.samples[name][0].labels)

    def since(self, before: Metrics) -> dict[str, float]:
        """How much each counter has grown since `before`, for those that did."""
        return {name: self[name] - before.get(name, 0.0) for name in self
                if name.endswith(("_total", "_sum", "_count")) and self[name] != before.get(name, 0.0)}
