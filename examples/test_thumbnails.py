from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from thumbnails import Upload, client, report, uploads

from quantumflow_client.testing import Rehearsal, attempts, run


class Mail:
    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, to: str, text: str) -> None:
        self.sent.append((to, text))


def test_an_owner_is_told_of_what_was_made(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    good.write_bytes(b"0123")
    mail = Mail()
    outcome = run(uploads, Upload("ann", [good, bad]), client=client, resources={"mail": mail})
    assert mail.sent == [("ann", "1 of 2 thumbnails are made")]
    assert (outcome.output, outcome.gave_up) == ({"tell": 1}, 1)
    assert good.with_suffix(".small").read_bytes() == b"02"


def test_a_mail_server_that_is_down_is_asked_again() -> None:
    outcome = run(
        uploads,
        Upload("ann", []),
        client=client,
        stubs={"tell": attempts(ConnectionError("down"), 0)},
        resources={"mail": Mail()},
    )
    assert outcome.steps["tell"].attempts == 2
    assert outcome.took >= timedelta(hours=1)


def test_the_report_goes_out_at_night() -> None:
    mail = Mail()
    with Rehearsal(client) as stage:
        stage.provide(mail=mail)
        stage.deploy(uploads)
        stage.deploy(report)
        stage.stub({"shrink": lambda item: item})
        stage.run(uploads, Upload("ann", [Path("a.png")]))
        stage.client.schedule("nightly", report, "0 3 * * *")
        stage.advance(timedelta(days=1))
    assert mail.sent[1:] == [("operators@example.org", "{'completed': 1}")]
