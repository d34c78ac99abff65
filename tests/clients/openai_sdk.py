"""The official OpenAI SDK for Python against a running Drover; any failed check ends it with an error.

The provider behind Drover is scripted: the prompt says what it answers. Each line that is printed says of a prompt what
has to have reached the provider.
"""

import asyncio
import json
import time

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

SONNET = "claude-sonnet-4-5"
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

client = OpenAI(max_retries=0)


def ask(prompt):
    return [{"role": "user", "content": prompt}]


def numbered(count):
    return " ".join(f"word{n}" for n in range(1, count + 1))


def text(text):
    return {"type": "text", "text": text}


def user(*content):
    return {"role": "user", "content": list(content)}


def sent(prompt, *bodies):
    usual = {"model": SONNET, "max_tokens": 32000, "stream": True}
    print(json.dumps({"prompt": prompt, "sent": [{**usual, **body} for body in bodies]}))


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


def tools(model):
    prompt = 'until told call weather {"city":"Zürich"} then call weather {"city":"Bern"} or say "Warm."'
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    function = {"name": "weather", "description": "The weather.", "parameters": schema}
    asked = {"model": model, "tools": [{"type": "function", "function": function}], "tool_choice": "required"}
    with client.chat.completions.stream(messages=ask(prompt), **asked) as stream:
        pieces = [e.arguments_delta for e in stream if e.type == "tool_calls.function.arguments.delta"]
        completion = stream.get_final_completion()
    message = completion.choices[0].message
    assert completion.choices[0].finish_reason == "tool_calls", completion
    assert "".join(pieces) == '{"city":"Zürich"}{"city":"Bern"}', pieces
    here, there = message.tool_calls
    results = [{"role": "tool", "tool_call_id": it.id, "content": f"{n}"} for n, it in enumerate((there, here))]
    answer = client.chat.completions.create(messages=[*ask(prompt), message, *results], **asked)
    assert answer.choices[0].message.content == "Warm.", answer
    cached = {"cache_control": {"type": "ephemeral"}}
    definition = {"name": "weather", "description": "The weather.", "input_schema": schema, **cached}
    calls = [
        {"type": "tool_use", "id": it.id, "name": "weather", "input": {"city": city}}
        for it, city in ((here, "Zürich"), (there, "Bern"))
    ]
    told = user(
        {"type": "tool_result", "tool_use_id": there.id, "content": [text("0")]},
        {"type": "tool_result", "tool_use_id": here.id, "content": [text("1")], **cached},
    )
    rounds = [user(text(prompt)), {"role": "assistant", "content": calls}, told]
    round = {"tools": [definition], "tool_choice": {"type": "any"}}
    sent(prompt, {**round, "messages": rounds[:1]}, {**round, "messages": rounds})


class Place(BaseModel):
    city: str
    days: list[int]


def shaped(model):
    prompt = 'say "{\\"city\\":\\"Bern\\",\\"days\\":[1,2]}"'
    asked = {"model": model, "messages": ask(prompt), "response_format": Place}
    answer = client.chat.completions.parse(**asked)
    assert answer.choices[0].message.parsed == Place(city="Bern", days=[1, 2]), answer
    schema = {
        "properties": {
            "city": {"title": "City", "type": "string"},
            "days": {"items": {"type": "integer"}, "title": "Days", "type": "array"},
        },
        "required": ["city", "days"],
        "title": "Place",
        "type": "object",
        "additionalProperties": False,
    }
    config = {"format": {"type": "json_schema", "schema": schema}}
    sent(prompt, {"output_config": config, "messages": [user(text(prompt))]})
    refused(openai.InternalServerError, 'say "{}"', code="invalid_output", response_format=wanted(schema))


def wanted(schema):
    return {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": schema}}


def shown(model):
    prompt = 'think 2 words then say "A dot."'
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DOT}"}}
    document = {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,aGk="}}
    content = [image, document, text(prompt)]
    answer = client.chat.completions.create(model=model, messages=[user(*content)], reasoning_effort="low")
    message = answer.choices[0].message
    assert (message.content, message.reasoning_content) == ("A dot.", "thought1 thought2"), message
    source = {"type": "base64", "media_type": "image/png", "data": DOT}
    told = {"type": "document", "title": "a.txt", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}}
    thinking = {"type": "enabled", "budget_tokens": 4000}
    sent(prompt, {"thinking": thinking, "messages": [user({"type": "image", "source": source}, told, text(prompt))]})


def sessions(model):
    said = lambda answer: answer.choices[0].message.content
    create = client.chat.completions.create
    first = create(model=model, messages=ask('say "one"'), extra_body={"session_id": "new", "system_prompt": "Be brief."})
    assert (said(first), first.project_id if hasattr(first, "project_id") else None) == ("one", None), first
    named = {"X-Drover-Session-Id": first.session_id}
    second = create(model=model, messages=ask('say "two"'), extra_headers=named)
    assert (said(second), second.session_id) == ("two", first.session_id), second
    chunks = list(create(model=model, messages=ask('say "three"'), stream=True, extra_headers=named))
    assert all(chunk.session_id == first.session_id for chunk in chunks), chunks
    history = client.get(f"/sessions/{first.session_id}/history", cast_to=object)["data"]
    assert [message["content"] for message in history][1::2] == ["one", "two", "three"], history
    deleted = client.delete(f"/sessions/{first.session_id}", cast_to=object)
    assert deleted["deleted"] is True, deleted
    try:
        create(model=model, messages=ask("say 1 words"), extra_headers=named)
    except openai.NotFoundError as error:
        assert error.code == "session_not_found", error
    else:
        raise AssertionError("a session that is deleted does not go on")


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
tools(SONNET)
shaped(SONNET)
shown(SONNET)
sessions(name)
leaves_early(name)
asyncio.run(at_once(name))
