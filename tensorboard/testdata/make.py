"""Writes events.tfevents by TensorBoard's own writer: what TestAsTensorBoardWrites must come to.

Needs TensorBoard's Python package (2.22 was used). Run it in this folder.
"""

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

TIME = 1700000000.25

with open("events.tfevents", "wb") as f:
    writer = RecordWriter(f)

    def write(**fields):
        writer.write(event_pb2.Event(wall_time=TIME, **fields).SerializeToString(deterministic=True))

    def scalars(step, **values):
        write(step=step, summary=summary_pb2.Summary(value=[
            summary_pb2.Summary.Value(tag=tag.replace("__", "/"), simple_value=v) for tag, v in values.items()
        ]))

    write(file_version="brain.Event:2")
    write(step=1, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
    scalars(1, loss__batch=2.3125, learning_rate=0.1)
    scalars(782, accuracy__test=0.7539, zero=0.0, huge=3e38, nan=float("nan"))
    write(step=300000, summary=summary_pb2.Summary(value=[summary_pb2.Summary.Value(
        tag="pictures/dot", image=summary_pb2.Summary.Image(height=2, width=3, colorspace=3,
                                                            encoded_image_string=open("dot.png", "rb").read()))]))
