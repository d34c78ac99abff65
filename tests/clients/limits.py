"""Limits of API keys with the official OpenAI SDK for Python; any failed check ends it with an error."""

import os

import openai
from openai import DefaultHttpxClient, OpenAI

sent = []
client = OpenAI(max_retries=0, http_client=DefaultHttpxClient(event_hooks={"request": [sent.append]}))


def ask(by):
    return by.chat.completions.with_raw_response.create(
        model="claude-sonnet-4-5", messages=[{"role": "user", "content": "Hello."}], extra_body={"background": True},
    )


first = ask(client)
assert first.status_code == 202, first
assert first.headers["x-ratelimit-limit-requests"] == "60", first.headers
limited = None
while limited is None:
    assert len(sent) < 1_000, "no limit"
    try:
        ask(client)
    except openai.RateLimitError as error:
        limited = error
assert (limited.code, limited.type, limited.param) == ("rate_limit_exceeded", "requests", None), limited
wait_ms = int(limited.response.headers["retry-after-ms"])
assert 0 < wait_ms <= 1_000 and limited.response.headers["retry-after"] == "1", limited.response.headers

# Told when to come back, it does, and is served.
before = len(sent)
patient = client.with_options(max_retries=5)
for _ in range(3):
    assert ask(patient).status_code == 202
assert len(sent) - before > 3, "it had to come back"

# What is spent is spent: it does not try again.
before = len(sent)
try:
    ask(client.with_options(max_retries=5, api_key=os.environ["POOR_KEY"]))
except openai.RateLimitError as error:
    assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota"), error
    assert "retry-after" not in error.response.headers
else:
    raise AssertionError("nothing is left to spend")
assert len(sent) == before + 1, "one request"
