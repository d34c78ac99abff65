// Jobs over a WebSocket as a browser has it, at two apis; any failed check ends it with an error. It prints what the model
// has said.

import assert from "node:assert/strict";

const apis = process.env.APIS.split(",");
const headers = { authorization: `Bearer ${process.env.KEY}` };

// A WebSocket with a line of what has come, and what waits for more.
async function open(api, how) {
  const address = `${apis[api].replace("http", "ws")}/v1/ws`;
  const { ticket } = await (await fetch(`${apis[api]}/v1/ws/tickets`, { method: "POST", headers })).json();
  const socket =
    how === "protocol"
      ? new WebSocket(address, ["drover.v1", `drover.ticket.${ticket}`])
      : new WebSocket(`${address}?ticket=${ticket}`, ["drover.v1"]);
  const line = [];
  let more = () => {};
  socket.addEventListener("message", ({ data }) => more(line.push(JSON.parse(data))));
  await new Promise((opened, failed) => {
    socket.addEventListener("open", opened);
    socket.addEventListener("error", failed);
  });
  assert.equal(socket.protocol, "drover.v1");
  const next = async () => {
    if (line.length === 0) await new Promise((come) => (more = come));
    more = () => {};
    return line.shift();
  };
  const ask = async (request) => {
    socket.send(JSON.stringify(request));
    const frame = await next();
    assert.equal(frame.id, request.id, JSON.stringify(frame));
    return frame;
  };
  const told = async function* (job) {
    for (let frame = await next(); frame.type !== "job.ended"; frame = await next()) {
      assert.equal(frame.job, job);
      yield frame.event;
    }
  };
  return { socket, ask, told };
}

const submit = async ({ ask }, content) => {
  const request = { messages: [{ role: "user", content }] };
  const frame = await ask({ type: "job.submit", id: "s", request, subscribe: true });
  assert.equal(frame.type, "job.submitted", JSON.stringify(frame));
  return frame.job.id;
};

const first = await open(0, "address");
const job = await submit(first, "say 40 words every 20ms");
const events = [];
for await (const event of first.told(job)) {
  events.push(event);
  if (events.length === 10) break;
}
first.socket.close(3000, "gone");

const second = await open(1, "protocol");
const after = events.at(-1).seq;
assert.equal((await second.ask({ type: "job.subscribe", id: "a", job, after })).after, after);
for await (const event of second.told(job)) events.push(event);
assert.deepEqual(events.map(({ seq }) => seq), events.map((_, at) => at + 1));
const text = events.map((event) => (event.type === "text_delta" ? event.text : "")).join("");

const { list } = await second.ask({ type: "job.list", id: "l", limit: 1, order: "desc" });
assert.deepEqual(list.data.map(({ id }) => id), [job]);

const waiting = await submit(second, "wait 60s then say 1 words");
const third = await open(0, "address");
assert.equal((await third.ask({ type: "job.cancel", id: "c", job: waiting })).job.id, waiting);
let last;
for await (const event of second.told(waiting)) last = event;
assert.equal(last.type, "cancelled");
second.socket.close();
third.socket.close();
console.log(text);
