"""Subjects are part of the contract with other people's sidecars."""

from sidecar.domain.ids import SessionId
from sidecar.wire import subjects

SESSION = SessionId("01937b5e-6c00-7000-8000-0000000000a1")


def test_a_session_is_rung_and_heard_on_subjects_of_its_own():
    assert subjects.doorbell(SESSION) == f"x1.session.{SESSION}.input"
    assert subjects.events(SESSION) == f"x1.session.{SESSION}.events"


def test_the_stream_takes_every_sessions_events():
    assert subjects.EVENTS_STREAM == "X1_EVENTS"
    assert subjects.events(SessionId("*")) == subjects.EVENTS_WILDCARD


def test_a_sessions_replies_come_to_an_inbox_of_one_token_of_its_own():
    assert subjects.inbox_prefix(SESSION) == "_INBOX_01937b5e6c00700080000000000000a1"
