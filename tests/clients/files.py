"""Uploaded files with the official OpenAI SDK for Python; any failed check ends it with an error."""

import openai
from openai import OpenAI

client = OpenAI(max_retries=0)
PDF = b"%PDF-1.7 " + bytes(range(256)) * 8_000

pdf = client.files.create(file=("a.pdf", PDF), purpose="user_data")
assert (pdf.object, pdf.bytes, pdf.filename, pdf.purpose, pdf.status) == (
    "file", len(PDF), "a.pdf", "user_data", "processed",
), pdf
assert pdf.id.startswith("file-") and pdf.expires_at is None, pdf
brief = client.files.create(
    file=("näïve.txt", "# Grüezi".encode()), purpose="assistants",
    expires_after={"anchor": "created_at", "seconds": 3600},
)
assert brief.expires_at == brief.created_at + 3600 and brief.filename == "näïve.txt", brief

assert client.files.retrieve(pdf.id) == pdf
assert [file.id for file in client.files.list()] == [brief.id, pdf.id]
assert [file.id for file in client.files.list(limit=1, order="asc")] == [pdf.id, brief.id]
assert [file.id for file in client.files.list(purpose="assistants")] == [brief.id]
assert client.files.content(pdf.id).read() == PDF

answer = client.chat.completions.create(
    model="claude-sonnet-4-5",
    messages=[{"role": "user", "content": [
        {"type": "file", "file": {"file_id": pdf.id}},
        {"type": "file", "file": {"file_id": brief.id, "filename": "b"}},
        {"type": "text", "text": "What is in the files?"},
    ]}],
)
assert answer.choices[0].message.content == "You said: What is in the files?", answer

other = client.with_options(api_key="another-key")
assert not list(other.files.list())
gone = client.files.delete(brief.id)
assert gone.deleted and gone.id == brief.id and gone.object == "file", gone
for by, missing in ((client, brief.id), (other, pdf.id), (client, "file-nothing")):
    for attempt in (by.files.retrieve, by.files.delete, by.files.content):
        try:
            attempt(missing)
        except openai.NotFoundError as error:
            assert error.code == "file_not_found", error
        else:
            raise AssertionError(f"{missing} is not there")
    try:
        by.chat.completions.create(
            model="claude-sonnet-4-5",
            messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": missing}}]}],
        )
    except openai.BadRequestError as error:
        assert (error.code, error.param) == ("file_not_found", "messages[0].content[0].file.file_id"), error
    else:
        raise AssertionError(f"{missing} cannot be shown")
try:
    client.files.create(file=("large", b"x" * (33 << 20)), purpose="user_data")
except openai.APIStatusError as error:
    assert error.status_code == 413 and error.code == "request_too_large", error
else:
    raise AssertionError("a file has a limit")
assert [file.id for file in client.files.list()] == [pdf.id]
