"""Stored completions with the official OpenAI SDK for Python; any failed check ends it with an error."""

import openai
from openai import OpenAI

client = OpenAI(max_retries=0)
completions = client.chat.completions


def create(prompt, **more):
    return completions.create(
        model="claude-sonnet-4-5", messages=[{"role": "user", "content": prompt}], store=True, **more
    )


system = {"role": "system", "content": "Be brief."}
odd = [create(f"say {n} words", metadata={"topic": "odd", "number": str(n)}) for n in (1, 3, 5)]
even = create("say 2 words", metadata={"topic": "even"})
streamed = completions.create(
    model="claude-sonnet-4-5",
    messages=[system, {"role": "user", "content": "think 1 words then say 4 words"}],
    store=True,
    stream=True,
)
streamed = list(streamed)[0].id
unstored = completions.create(model="claude-sonnet-4-5", messages=[{"role": "user", "content": "say 1 words"}])

everything = [completion.id for completion in completions.list()]
assert everything == [c.id for c in odd] + [even.id, streamed], everything
paged = [completion.id for completion in completions.list(limit=2, order="desc")]
assert paged == everything[::-1], paged
found = list(completions.list(limit=1, metadata={"topic": "odd"}))
assert [c.id for c in found] == [c.id for c in odd], found
assert [c.choices[0].message.content for c in found] == [c.choices[0].message.content for c in odd]
assert not list(completions.list(model="claude-opus-5-5"))
assert [c.id for c in completions.list(model="claude-sonnet-4-5", limit=100)] == everything

again = completions.retrieve(odd[0].id)
assert again.model_dump(exclude={"metadata"}) == odd[0].model_dump(exclude={"metadata"}), again
assert again.metadata == {"topic": "odd", "number": "1"}, again
whole = completions.retrieve(streamed)
assert whole.choices[0].message.content == "word1 word2 word3 word4", whole
assert whole.choices[0].message.reasoning_content == "thought1", whole

messages = list(completions.messages.list(streamed, limit=1))
assert [(m.role, m.content) for m in messages] == [
    ("system", "Be brief."),
    ("user", "think 1 words then say 4 words"),
], messages

updated = completions.update(even.id, metadata={"topic": "odd"})
assert updated.metadata == {"topic": "odd"}, updated
assert len(list(completions.list(metadata={"topic": "odd"}))) == 4

gone = completions.delete(even.id)
assert gone.deleted and gone.id == even.id and gone.object == "chat.completion.deleted", gone
for missing in (even.id, unstored.id, "chatcmpl-nothing"):
    for attempt in (
        lambda: completions.retrieve(missing),
        lambda: completions.delete(missing),
        lambda: completions.update(missing, metadata={}),
        lambda: completions.messages.list(missing),
    ):
        try:
            attempt()
        except openai.NotFoundError as error:
            assert error.code == "completion_not_found" and error.type == "invalid_request_error", error
        else:
            raise AssertionError(f"{missing} is not there")
assert everything[:3] + [streamed] == [c.id for c in completions.list()]
other = client.with_options(api_key="another-key").chat.completions
assert not list(other.list())
try:
    other.retrieve(streamed)
except openai.NotFoundError:
    pass
else:
    raise AssertionError("it is another key's")
