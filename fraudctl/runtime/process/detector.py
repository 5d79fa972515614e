"""The process record of the detector: spark-submit and all that it starts."""

from fraudctl import assets
from fraudctl.config.lane import Lane
from fraudctl.config.paths import StackPaths
from fraudctl.runtime.process.supervise import ProcessRecord, known


def record(paths: StackPaths, lane: Lane) -> ProcessRecord | None:
    """Return the record of the lane's running or last process; a running one is found without its file."""
    marks = (str(assets.detector_script()), str(lane.file(paths, "job.json")))
    return known(lane.record(paths), lane.name, marks, lane.log(paths))
