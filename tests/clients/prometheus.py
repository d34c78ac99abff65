"""Reads a page of metrics with Prometheus' own parser, and prints each sample as a line of JSON."""

import json
import os
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

with urllib.request.urlopen(os.environ["METRICS"]) as answer:
    page = answer.read().decode()

for family in text_string_to_metric_families(page):
    for sample in family.samples:
        print(
            json.dumps(
                {
                    "family": family.name,
                    "kind": family.type,
                    "help": family.documentation,
                    "series": sample.name,
                    "labels": sample.labels,
                    "value": repr(float(sample.value)),
                }
            )
        )
