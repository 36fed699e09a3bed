"""Pictures that are uploaded become thumbnails, their owner is told; a report goes out at night.

quantumflow worker thumbnails:client
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from quantumflow_client import Client, Context, Flow


@dataclass
class Upload:
    """Pictures of an owner's."""

    owner: str
    pictures: list[Path]


class Mail(Protocol):
    """Something that sends mail."""

    def send(self, to: str, text: str) -> None:
        """Send one."""


client = Client()
uploads = Flow("uploads", input=Upload)
report = Flow("report", resources=["mail"])


@client.resource
def mail() -> Mail:
    """The real one."""
    raise NotImplementedError("connect to a mail server here")


@uploads.step
def pictures(run: Upload = uploads.input) -> list[Path]:
    """What there is to do."""
    return run.pictures


@uploads.map(process=True, timeout=20, tolerate="50%")
def shrink(picture: Path = pictures.each) -> Path:
    """Make a thumbnail, in a process of its own: it computes, and a bad picture may crash it."""
    small = picture.with_suffix(".small")
    small.write_bytes(picture.read_bytes()[::2])
    return small


@client.command("tell_owner")
def tell_owner(run: Upload, shrink: list[Path | None], mail: Mail) -> int:
    """Say how many there are."""
    made = [small for small in shrink if small is not None]
    mail.send(run.owner, f"{len(made)} of {len(shrink)} thumbnails are made")
    return len(made)


uploads.add_step(
    "tell",
    command="tell_owner",
    depends_on=[shrink],
    max_attempts=10,
    retry_delay=timedelta(hours=1),
)


@report.step
def send_report(ctx: Context, mail: Mail) -> dict[str, int]:
    """Count what ended, and send it."""
    with ctx.transaction() as connection:
        rows = connection.execute(
            "select status from quantumflow.list_runs(workflow_slug => 'uploads')"
        )
        counts = Counter(status for (status,) in rows)
    mail.send("operators@example.org", str(dict(counts)))
    return counts


client.register(uploads)
client.register(report)
