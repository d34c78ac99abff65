// A scripted Anthropic Messages API. It says what the case at hand tells it to, and notes every request.
import http from 'node:http';

const KEPT_HEADERS = ['content-type', 'accept', 'x-api-key', 'authorization', 'anthropic-version', 'anthropic-beta',
  'user-agent', 'x-app', 'x-stainless-retry-count', 'x-stainless-timeout', 'accept-encoding', 'connection',
  'expect', 'transfer-encoding', 'content-length', 'host'];

/** Events of one streamed answer, in the shape of the Messages API. */
export function stream(blocks, stop_reason, stop_sequence = null) {
  const events = [{ type: 'message_start', message: { id: 'msg_golden', type: 'message', role: 'assistant',
    model: 'claude-sonnet-4-5', content: [], stop_reason: null, stop_sequence: null,
    usage: { input_tokens: 3, output_tokens: 1 } } }];
  blocks.forEach(([content_block, deltas], index) => {
    events.push({ type: 'content_block_start', index, content_block });
    for (const delta of deltas) events.push({ type: 'content_block_delta', index, delta });
    events.push({ type: 'content_block_stop', index });
  });
  events.push({ type: 'message_delta', delta: { stop_reason, stop_sequence }, usage: { output_tokens: 7 } });
  events.push({ type: 'message_stop' });
  return { events };
}

/** An error answer, in the shape of the Messages API. */
export function error(status, type, message, headers = {}) {
  return { status, body: { type: 'error', error: { type, message } }, headers };
}

/** Serves `answers` in order on `where` (a port or a socket path); further calls are held open. */
export function serve(answers, where) {
  const requests = [];
  let calls = 0;
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const headers = Object.fromEntries(KEPT_HEADERS.filter((name) => name in request.headers)
        .map((name) => [name, request.headers[name]]));
      const answer = request.method === 'POST' && request.url.startsWith('/v1/messages') ? answers[calls++] : undefined;
      requests.push({ method: request.method, url: request.url, headers, body: parsed(text), held: request.method === 'POST' && !answer });
      if (request.method !== 'POST') response.writeHead(404).end();
      else if (answer) play(answer, response);
    });
  });
  server.keepAliveTimeout = 60_000;
  return new Promise((resolve) => server.listen(where, ...(typeof where === 'number' ? ['127.0.0.1'] : []),
    () => resolve({ requests, port: server.address().port,
      close: () => { server.close(); server.closeAllConnections(); } })));
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return text; }
}

function play(answer, response) {
  if (answer.status) {
    response.writeHead(answer.status, { 'content-type': 'application/json', 'request-id': 'req_golden', ...answer.headers });
    response.end(JSON.stringify(answer.body));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'req_golden' });
  const events = answer.until === undefined ? answer.events : answer.events.slice(0, answer.until);
  for (const event of events) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  // A moment later, so that the CLI has read what came before.
  if (answer.then === 'reset') setTimeout(() => response.socket?.resetAndDestroy(), 50);
  else if (answer.then === 'eof') setTimeout(() => response.socket?.end(), 50);
  else if (answer.then !== 'hold') response.end();
}
