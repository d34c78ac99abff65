"""Jobs over a WebSocket with the library `websockets`, at two apis; any failed check ends it with an error. It prints what
the model has said."""

import json
import os
import urllib.request

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

APIS = os.environ["APIS"].split(",")
KEY = {"Authorization": "Bearer " + os.environ["KEY"]}


def address(api, query=""):
    return f"{APIS[api].replace('http', 'ws', 1)}/v1/ws{query}"


def with_key(api):
    return connect(address(api), max_size=None, additional_headers=KEY)


def ask(ws, **request):
    ws.send(json.dumps(request))
    while True:
        frame = json.loads(ws.recv(timeout=30))
        if frame.get("id") == request["id"]:
            return frame


def submit(ws, prompt, **more):
    request = {"messages": [{"role": "user", "content": prompt}]}
    frame = ask(ws, type="job.submit", id="submit", request=request, **more)
    assert frame["type"] == "job.submitted", frame
    return frame["job"]["id"]


def told(ws, job):
    """What is told of a job, to its end."""
    while True:
        frame = json.loads(ws.recv(timeout=30))
        assert frame["job"] == job, frame
        if frame["type"] == "job.ended":
            return
        yield frame


# A connection that breaks, and another api that goes on.
ws = with_key(0)
job = submit(ws, "say 40 words every 20ms", subscribe=True)
events = []
for frame in told(ws, job):
    events.append(frame["event"])
    if len(events) == 10:
        break
ws.socket.close()

post = urllib.request.Request(APIS[0] + "/v1/ws/tickets", method="POST", headers=KEY)
with urllib.request.urlopen(post) as answer:
    ticket = json.load(answer)
assert (answer.status, ticket["object"]) == (201, "ws.ticket"), ticket
query = "?ticket=" + ticket["ticket"]
with connect(address(1, query), max_size=None) as ws:
    frame = ask(ws, type="job.subscribe", id="again", job=job, after=events[-1]["seq"])
    assert (frame["type"], frame["after"]) == ("job.subscribed", events[-1]["seq"]), frame
    events += [frame["event"] for frame in told(ws, job)]
    text = "".join(event["text"] for event in events if event["type"] == "text_delta")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), events
    assert events[-1]["type"] == "completed", events[-1]

    # The same as chunks, from the middle on: each event once, all of its chunks with it.
    ask(ws, type="job.subscribe", id="chunks", job=job, format="chunks", include_usage=True)
    frames = list(told(ws, job))
    chunks = [chunk for frame in frames for chunk in frame["chunks"]]
    said = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert said == text and chunks[-1]["usage"]["completion_tokens"] > 0, chunks
    middle = len(frames) // 2
    ask(ws, type="job.subscribe", id="rest", job=job, format="chunks", include_usage=True, after=frames[middle]["seq"])
    assert list(told(ws, job)) == frames[middle + 1 :]

    listed = ask(ws, type="job.list", id="list", status=["completed"], limit=1)["list"]
    assert [entry["id"] for entry in listed["data"]] == [job] and listed["has_more"] is False, listed
    page = ask(ws, type="job.list", id="page", after=job)["list"]
    assert page["data"] == [], page
    refused = ask(ws, type="job.list", id="bad", limit=0)
    assert (refused["status"], refused["error"]["param"]) == (400, "limit"), refused

    # Called off at one api, told at the other.
    with with_key(0) as other:
        waiting = submit(other, "wait 60s then say 1 words", subscribe=True)
        shown = ask(ws, type="job.cancel", id="cancel", job=waiting)
        assert shown["job"]["id"] == waiting, shown
        last = [frame["event"] for frame in told(other, waiting)][-1]
        assert last["type"] == "cancelled", last
        assert ask(other, type="job.get", id="get", job=waiting)["job"]["status"] == "cancelled"

for refused in (query, "?ticket=ticket-drover-0", ""):
    try:
        connect(address(0, refused)).close()
    except InvalidStatus as error:
        assert error.response.status_code == 401, error
    else:
        raise AssertionError(f"{refused} opens it")
print(text)
