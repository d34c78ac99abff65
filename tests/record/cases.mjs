// What is recorded: what the upstream says, and when the recording ends.
import { error, stream } from './upstream.mjs';

const text = (...parts) => [{ type: 'text', text: '' }, parts.map((part) => ({ type: 'text_delta', text: part }))];
const thinking = [{ type: 'thinking', thinking: '', signature: '' },
  [{ type: 'thinking_delta', thinking: 'Let me ' }, { type: 'thinking_delta', thinking: 'see.' },
    { type: 'signature_delta', signature: 'c2lnbmF0dXJl' }]];
const redacted = [{ type: 'redacted_thinking', data: 'b3BhcXVl' }, []];
const call = (id, ...parts) => [{ type: 'tool_use', id, name: 'get_weather', input: {} },
  parts.map((partial_json) => ({ type: 'input_json_delta', partial_json }))];

const turn = (answer) => ({ answers: [answer], until: 'result' });
const message = (answer) => ({ answers: [answer], until: 'message_stop' });
// The CLI answers some errors with calls of its own; they get the same answer, as a relay would give it.
const refused = (answer) => ({ answers: Array(12).fill(answer), until: 'result' });

export const CASES = {
  plain: turn(stream([text(' Hello', ', 世界 ', '"quoted"\n', '\u0001\\ ')], 'end_turn')),
  thinking: turn(stream([thinking, redacted, text('Done.')], 'end_turn')),
  tool_use: message(stream([text('Looking.'), call('toolu_1', '{"city":', '"Paris"}'), call('toolu_2')], 'tool_use')),
  max_tokens: message(stream([text('Half a sent')], 'max_tokens')),
  stop_sequence: turn(stream([text('One, two')], 'stop_sequence', ', three')),
  refusal: turn(stream([text('I can')], 'refusal')),
  pause_turn: message(stream([text('A moment')], 'pause_turn')),
  context_window: message(stream([text('Long')], 'model_context_window_exceeded')),
  // A character cut in two halves, as a provider may stream it.
  surrogates: turn(stream([text('\ud83d', '\ude00 and \u{1f600}')], 'end_turn')),
  empty: message(stream([], 'end_turn')),
  error_400: refused(error(400, 'invalid_request_error', 'temperature: must be at most 1')),
  error_400_too_long: refused(error(400, 'invalid_request_error', 'prompt is too long: 250000 tokens > 200000 maximum')),
  error_401: refused(error(401, 'authentication_error', 'invalid x-api-key')),
  error_404: refused(error(404, 'not_found_error', 'model: claude-nowhere')),
  error_429: refused(error(429, 'rate_limit_error', 'Slow down', { 'retry-after': '2' })),
  error_500: refused(error(500, 'api_error', 'Internal server error')),
  error_529: refused(error(529, 'overloaded_error', 'Overloaded')),
  reset: { answers: Array(4).fill({ ...stream([text('One', ' two')], 'end_turn'), until: 4, then: 'reset' }), until: 'result', tcp: true },
  eof: { answers: Array(4).fill({ ...stream([text('One', ' two')], 'end_turn'), until: 4, then: 'eof' }), until: 'result' },
  error_in_stream: { answers: Array(4).fill({ events: [...stream([text('One')], 'end_turn').events.slice(0, 3),
    { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }] }), until: 'result' },
  interrupt: { answers: [{ ...stream([text('One', ' two')], 'end_turn'), until: 4, then: 'hold' }],
    until: 'result', interruptAt: 'content_block_delta' },
  tool_use_interrupt: { answers: [stream([call('toolu_1', '{}')], 'tool_use')], until: 'result', interruptAt: 'held' },
};
