"""The official OpenAI SDK for Python against a running Drover; any failed check ends it with an error.

The provider behind Drover is scripted: the prompt says what it answers.
"""

import asyncio
import time

import openai
from openai import AsyncOpenAI, OpenAI

client = OpenAI(max_retries=0)


def ask(prompt):
    return [{"role": "user", "content": prompt}]


def numbered(count):
    return " ".join(f"word{n}" for n in range(1, count + 1))


def models():
    listed = client.models.list().data
    assert listed and all(model.object == "model" for model in listed), listed
    assert client.models.retrieve(listed[0].id).id == listed[0].id
    return listed[0].id


def whole(model):
    answer = client.chat.completions.create(model=model, messages=ask("say 5 words"))
    assert answer.id.startswith("chatcmpl-") and answer.model == model, answer
    assert answer.choices[0].message.content == numbered(5), answer
    assert answer.choices[0].finish_reason == "stop", answer
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0, usage
    assert 0 < usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens, usage
    assert answer._request_id.startswith("req_"), answer._request_id


def streamed(model):
    options = {"include_usage": True}
    stream = client.chat.completions.create(
        model=model, messages=ask("say 20 words"), stream=True, stream_options=options
    )
    chunks = list(stream)
    pieces = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert "".join(pieces) == numbered(20) and len(pieces) == 20, pieces
    assert len({chunk.id for chunk in chunks}) == 1, chunks
    assert chunks[-1].usage.total_tokens > 0 and not chunks[-1].choices, chunks[-1]
    assert chunks[-2].choices[0].finish_reason == "stop", chunks[-2]


def several(model):
    answer = client.chat.completions.create(model=model, messages=ask("say 4 words"), n=2)
    assert [choice.index for choice in answer.choices] == [0, 1], answer
    assert {choice.message.content for choice in answer.choices} == {numbered(4)}, answer
    texts = ["", ""]
    for chunk in client.chat.completions.create(model=model, messages=ask("say 4 words"), n=2, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == [numbered(4)] * 2, texts


def refused(kind, prompt="hi", by=client, code=None, **parameters):
    try:
        by.chat.completions.create(**{"model": name, "messages": ask(prompt), **parameters})
    except kind as error:
        assert type(error) is kind, error
        assert code is None or error.code == code, (error.code, code)
        return error
    raise AssertionError(f"{kind.__name__} was expected for {prompt}")


def errors():
    error = refused(openai.BadRequestError, code="unsupported_parameter", seed=2)
    assert error.param == "seed" and error.type == "invalid_request_error", error.body
    refused(openai.BadRequestError, 'status 400 "prompt is too long: 2 > 1"', code="context_length_exceeded")
    refused(openai.NotFoundError, model="gpt-9", code="model_not_found")
    refused(openai.AuthenticationError, by=client.with_options(api_key="wrong"), code="invalid_api_key")
    error = refused(openai.RateLimitError, "status 429 retry-after 3", code="provider_rate_limited")
    assert error.response.headers["retry-after"] == "3", error.response.headers
    refused(openai.InternalServerError, "status 529", code="provider_overloaded")
    refused(openai.BadRequestError, 'status 400 "no"', stream=True, code="invalid_request")
    try:
        list(client.chat.completions.create(model=name, messages=ask("error after 3"), stream=True))
    except openai.APIError as error:
        assert error.code == "provider_overloaded", error
    else:
        raise AssertionError("a stream that breaks off raises an error")


def job(raw):
    return raw.headers["x-drover-job-id"]


def headers(model):
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=ask("say 2 words"), user="someone", extra_body={"shoe_size": 43}
    )
    assert raw.parse().choices[0].message.content == numbered(2)
    assert raw.headers["x-drover-ignored-parameters"] == "shoe_size", raw.headers
    shown = client.get(f"/jobs/{job(raw)}", cast_to=object)
    assert shown["status"] == "completed", shown


def leaves_early(model):
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=ask("say 4000 words every 50ms"), stream=True
    )
    stream = raw.parse()
    next(iter(stream))
    stream.close()
    until = time.monotonic() + 60
    while client.get(f"/jobs/{job(raw)}", cast_to=object)["status"] != "cancelled":
        assert time.monotonic() < until, "the job goes on without its client"
        time.sleep(0.05)


async def at_once(model):
    async with AsyncOpenAI(max_retries=0) as several:
        answers = await asyncio.gather(
            *(several.chat.completions.create(model=model, messages=ask(f"say {n} words")) for n in (3, 4))
        )
        assert [a.choices[0].message.content for a in answers] == [numbered(3), numbered(4)], answers
        stream = await several.chat.completions.create(
            model=model, messages=ask("think 2 words then say 6 words"), stream=True
        )
        text = thoughts = ""
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            thoughts += getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
        assert (text, thoughts) == (numbered(6), "thought1 thought2"), (text, thoughts)


name = models()
whole(name)
streamed(name)
several(name)
errors()
headers(name)
leaves_early(name)
asyncio.run(at_once(name))
