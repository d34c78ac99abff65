"""LangChain for Python against a running Drover; any failed check ends it with an error.

The provider behind Drover is scripted: the prompt says what it answers. Each line that is printed says of a prompt
what has to have reached the provider.
"""

import json

import openai
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

NAME = "claude-sonnet-4-5"
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

model = ChatOpenAI(model=NAME, max_retries=0, stream_usage=True)


def text(text, **more):
    return {"type": "text", "text": text, **more}


def user(*content):
    return {"role": "user", "content": list(content)}


CACHED = {"cache_control": {"type": "ephemeral"}}


def sent(prompt, *bodies):
    usual = {"model": NAME, "max_tokens": 32000, "stream": True}
    print(json.dumps({"prompt": prompt, "sent": [{**usual, **body} for body in bodies]}))


def numbered(count):
    return " ".join(f"word{n}" for n in range(1, count + 1))


def streamed():
    prompt = "say 20 words"
    chunks = list(model.stream([("system", "Be brief."), ("user", prompt)], stop=["END"], max_tokens=900))
    pieces = [chunk.text for chunk in chunks if chunk.text]
    assert "".join(pieces) == numbered(20) and len(pieces) == 20, pieces
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert len(usage) == 1 and usage[0]["input_token_details"]["cache_read"] > 0, usage
    system = [text("Be brief.", **CACHED)]
    messages = [user(text(prompt))]
    sent(prompt, {"max_tokens": 900, "system": system, "stop_sequences": ["END"], "messages": messages})


@tool
def weather(city: str) -> str:
    """The weather."""
    return f"20 degrees in {city}"


@tool
def now() -> str:
    """The time."""
    return "noon"


def tools():
    """Its own loop: the model calls, the tools run, the model goes on."""
    prompt = 'until told say "I look." then call weather {"city":"Zürich"} then call now {} or say "Warm."'
    agent = create_agent(model, [weather, now])
    messages = agent.invoke({"messages": [("user", prompt)]})["messages"]
    assert messages[-1].text == "Warm.", messages
    one, other = messages[1].tool_calls
    assert (one["args"], other["args"]) == ({"city": "Zürich"}, {}), messages[1]
    assert [message.content for message in messages if isinstance(message, ToolMessage)] == [
        "20 degrees in Zürich",
        "noon",
    ], messages
    schema = {"type": "object"}
    definitions = [
        {
            "name": "weather",
            "description": "The weather.",
            "input_schema": {"properties": {"city": {"type": "string"}}, "required": ["city"], **schema},
        },
        {"name": "now", "description": "The time.", "input_schema": {"properties": {}, **schema}, **CACHED},
    ]
    question = user(text(prompt))
    calls = [
        text("I look."),
        {"type": "tool_use", "id": one["id"], "name": "weather", "input": {"city": "Zürich"}},
        {"type": "tool_use", "id": other["id"], "name": "now", "input": {}},
    ]
    results = [
        {"type": "tool_result", "tool_use_id": one["id"], "content": [text("20 degrees in Zürich")]},
        {"type": "tool_result", "tool_use_id": other["id"], "content": [text("noon")], **CACHED},
    ]
    rounds = [question, {"role": "assistant", "content": calls}, user(*results)]
    sent(prompt, *({"tools": definitions, "messages": messages} for messages in (rounds[:1], rounds)))


class Place(BaseModel):
    city: str
    days: list[int]


def shaped():
    prompt = 'say "{\\"city\\":\\"Bern\\",\\"days\\":[1,2]}"'
    place = model.with_structured_output(Place, method="json_schema").invoke(prompt)
    assert place == Place(city="Bern", days=[1, 2]), place
    days = {"items": {"type": "integer"}, "title": "Days", "type": "array"}
    schema = {
        "properties": {"city": {"title": "City", "type": "string"}, "days": days},
        "required": ["city", "days"],
        "title": "Place",
        "type": "object",
        "additionalProperties": False,
    }
    config = {"format": {"type": "json_schema", "schema": schema}}
    sent(prompt, {"output_config": config, "messages": [user(text(prompt))]})


def shown():
    prompt = 'say "A dot."'
    image = {"type": "image", "base64": DOT, "mime_type": "image/png"}
    answer = model.invoke([HumanMessage(content_blocks=[image, text(prompt)])])
    assert answer.text == "A dot." and answer.usage_metadata["output_tokens"] > 0, answer
    source = {"type": "base64", "media_type": "image/png", "data": DOT}
    sent(prompt, {"messages": [user({"type": "image", "source": source}, text(prompt))]})


def errors():
    for prompt, kind, code in [
        ("status 429 retry-after 3", openai.RateLimitError, "provider_rate_limited"),
        ('status 400 "no"', openai.BadRequestError, "invalid_request"),
    ]:
        try:
            model.invoke(prompt)
        except kind as error:
            assert error.code == code, error
        else:
            raise AssertionError(f"{code} was expected")
    try:
        list(model.stream("error after 3"))
    except openai.APIError as error:
        assert error.code == "provider_overloaded", error
    else:
        raise AssertionError("a stream that breaks off raises an error")


streamed()
tools()
shaped()
shown()
errors()
