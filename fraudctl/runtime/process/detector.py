"""The detector as a process: spark-submit and all that it starts, in the lane of the live run or a replay."""

from fraudctl import assets
from fraudctl.config.lane import Lane
from fraudctl.config.paths import StackPaths
from fraudctl.runtime.process.supervise import ProcessRecord, known


def record(paths: StackPaths, lane: Lane) -> ProcessRecord | None:
    """Of the run that is at work in the lane, or was last; also when its file is gone."""
    marks = (str(assets.detector_script()), str(lane.file(paths, "job.json")))
    return known(lane.record(paths), lane.name, marks, lane.log(paths))
