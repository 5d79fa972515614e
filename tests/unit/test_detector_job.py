"""What the detector is told."""

import json

from fraudctl.config.job import DetectorJob


def test_the_detector_is_told_nothing_of_labels() -> None:
    """Not even the name of their topic. `tests/e2e/test_labels.py` looks at a job that ran."""
    assert "label" not in json.dumps(DetectorJob.model_json_schema()).lower()
