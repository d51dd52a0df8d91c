"""The stream of a session's events: every one once, in order, whenever one comes and goes."""

import asyncio
import json

from sidecar.domain.event import EventType
from sidecar.relay.nudges import events_of

SECONDS = 20


async def say(desk, session, *texts):
    for text in texts:
        await desk.note(session, EventType.AGENT_TEXT, text=text)


def told(answer):
    assert answer.text.isascii()
    frames = [part for part in answer.text.split("\n\n") if part.startswith("id:")]
    return [
        (int(frame.splitlines()[0][3:]), json.loads(frame.splitlines()[1][5:])["payload"]["text"])
        for frame in frames
    ]


async def test_an_ended_session_is_told_whole_and_the_stream_ends(desk, http):
    session = await desk.session()
    await say(desk, session, "a", "b", "line\nbreak\u2028\x85\r.")
    await desk.ended(session, 60)
    answer = await http.get(f"/api/sessions/{session.id}/stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert told(answer) == [(1, "a"), (2, "b"), (3, "line\nbreak\u2028\x85\r.")]


async def test_resuming_gives_exactly_what_is_missing(desk, http):
    session = await desk.session()
    await say(desk, session, *"abcdefgh")
    await desk.ended(session, 60)
    url = f"/api/sessions/{session.id}/stream"
    whole = told(await http.get(url))
    for seen in range(8):
        rest = await http.get(url, headers={"last-event-id": str(seen)}, params={"after": "1"})
        assert told(rest) == whole[seen:]
        assert told(await http.get(url, params={"after": str(seen)})) == whole[seen:]


async def test_with_nothing_left_to_tell_a_browser_is_told_to_stop_asking(desk, http):
    session = await desk.session()
    await say(desk, session, "a")
    await desk.ended(session, 60)
    answer = await http.get(f"/api/sessions/{session.id}/stream", headers={"last-event-id": "1"})
    assert answer.status_code == 204


async def test_a_last_event_id_that_is_no_number_is_refused(desk, http):
    session = await desk.session()
    for wrong in ("x", "-1", "9" * 30):
        answer = await http.get(
            f"/api/sessions/{session.id}/stream", headers={"last-event-id": wrong}
        )
        assert answer.status_code == 422


async def test_what_is_said_while_somebody_listens_arrives_once_and_in_order(desk, http):
    """The double gives an answer whole, so the session ends while it is listened to."""
    session = await desk.session()
    await say(desk, session, "before")
    listening = asyncio.ensure_future(http.get(f"/api/sessions/{session.id}/stream"))
    for number in range(300):
        await say(desk, session, f"n{number}")
        if number % 7 == 0:
            desk.services.nudges.nudge(events_of(session.id))
            await asyncio.sleep(0)
    await desk.ended(session, 60)
    answer = await asyncio.wait_for(listening, SECONDS)
    assert told(answer) == [(1, "before"), *((n + 2, f"n{n}") for n in range(300))]


async def test_pages_of_events_join_without_gap_or_repeat(desk, http):
    session = await desk.session()
    await say(desk, session, *"abcde")
    url, after, seen = f"/api/sessions/{session.id}/events", 0, []
    while True:
        page = (await http.get(url, params={"after": after, "limit": 2})).json()
        if not page["events"]:
            break
        seen += [event["sequence"] for event in page["events"]]
        after = page["last_sequence"]
    assert seen == [1, 2, 3, 4, 5]
    assert (await http.get(url, params={"limit": 0})).status_code == 422
    assert (await http.get(url, params={"after": "x"})).status_code == 422
