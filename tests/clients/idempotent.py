"""Requests that are sent again with the official OpenAI SDK for Python; any failed check ends it with an error. Each line
that it prints names a prompt, and how often the model may have been asked."""

import json
import os

import openai
from openai import OpenAI

client = OpenAI(max_retries=0)


def ask(prompt, key, by=client, **more):
    return by.chat.completions.with_raw_response.create(
        model="claude-sonnet-4-5",
        messages=[{"role": "user", "content": prompt}],
        extra_headers={"Idempotency-Key": key},
        **more,
    )


def replayed(response):
    return response.headers.get("idempotent-replayed")


first, again = (ask("say 3 words", "whole") for _ in range(2))
assert (replayed(first), replayed(again)) == (None, "true")
assert first.parse() == again.parse(), (first.text, again.text)
assert first.headers["x-drover-job-id"] == again.headers["x-drover-job-id"]
print(json.dumps({"prompt": "say 3 words", "calls": 1}))

streams = [ask("say 4 words", "stream", stream=True) for _ in range(2)]
chunks = [list(stream.parse()) for stream in streams]
assert [replayed(stream) for stream in streams] == [None, "true"]
assert chunks[0] == chunks[1] and len(chunks[0]) > 4, chunks
print(json.dumps({"prompt": "say 4 words", "calls": 1}))

try:
    ask("say 5 words", "whole")
except openai.UnprocessableEntityError as error:
    assert (error.code, error.param) == ("idempotency_key_reused", None), error
else:
    raise AssertionError("another request under the same key")
print(json.dumps({"prompt": "say 5 words", "calls": 0}))

other = client.with_options(api_key=os.environ["OTHER_KEY"])
assert replayed(ask("say 6 words", "shared")) is None
assert replayed(ask("say 6 words", "shared", by=other)) is None, "the key of another owner"
print(json.dumps({"prompt": "say 6 words", "calls": 2}))

# A failure is the job's end: it is told again, and no retry of the SDK's is wasted on it.
refusal = 'status 400 "no such thing"'
failures = []
for _ in range(2):
    try:
        ask(refusal, "fails", by=client.with_options(max_retries=3))
    except openai.APIStatusError as error:
        failures.append((error.status_code, error.code, error.response.headers.get("x-should-retry")))
assert len(failures) == 2 and failures[0] == failures[1] and failures[0][2] == "false", failures
print(json.dumps({"prompt": refusal, "calls": 1}))

try:
    ask("say 7 words", "not visible")
except openai.BadRequestError as error:
    assert (error.code, error.param) == ("invalid_value", "Idempotency-Key"), error
else:
    raise AssertionError("a key with a space")
print(json.dumps({"prompt": "say 7 words", "calls": 0}))
