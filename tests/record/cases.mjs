// What is recorded: what the upstream says, and when the recording ends.
import { error, stream } from './upstream.mjs';

const text = (...parts) => [{ type: 'text', text: '' }, parts.map((part) => ({ type: 'text_delta', text: part }))];
const thinking = [{ type: 'thinking', thinking: '', signature: '' },
  [{ type: 'thinking_delta', thinking: 'Let me ' }, { type: 'thinking_delta', thinking: 'see.' },
    { type: 'signature_delta', signature: 'c2lnbmF0dXJl' }]];
const redacted = [{ type: 'redacted_thinking', data: 'b3BhcXVl' }, []];
const call = (id, ...parts) => [{ type: 'tool_use', id, name: 'get_weather', input: {} },
  parts.map((partial_json) => ({ type: 'input_json_delta', partial_json }))];

const use = (id, name, input) => [{ type: 'tool_use', id, name, input: {} },
  [{ type: 'input_json_delta', partial_json: JSON.stringify(input) }]];

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

const run = (id, command) => use(id, 'Bash', { command });
const worked = [stream([thinking, text('I look.'), run('toolu_1', 'pwd; cat CLAUDE.md')], 'tool_use'),
  stream([use('toolu_2', 'Write', { file_path: 'PROJECT/note.txt', content: 'kept' }), run('toolu_3', 'exit 3')], 'tool_use'),
  stream([text('Done.')], 'end_turn')];

// The agent class: `start` is how the process begins, `turns` what the user says, one after another; PROJECT in an
// answer is the project's directory.
export const AGENT_CASES = {
  agent_claim: { builds: ['native'], start: 'spare', turns: ['Look around.', 'And now?'],
    answers: [...worked, stream([text('Nothing more.')], 'end_turn')] },
  agent_interrupt: { builds: ['native'], start: 'spare', turns: ['Wait.', 'Go on.'], interruptAt: 'toolu_1',
    answers: [stream([text('I wait.'), run('toolu_1', 'sleep 60')], 'tool_use'), stream([text('Going on.')], 'end_turn')] },
  agent_subagent: { builds: ['native'], start: 'cold', tools: 'Bash,Agent', turns: ['Let somebody look.'],
    answers: [stream([use('toolu_1', 'Agent', { description: 'Look', prompt: 'Look.', subagent_type: 'general-purpose' })], 'tool_use'),
      stream([text('I look.'), run('toolu_2', 'pwd')], 'tool_use'), stream([text('Seen.')], 'end_turn'),
      stream([text('It was seen.')], 'end_turn')] },
  // Goes on from what agent_claim has mirrored.
  agent_resume: { builds: ['native'], start: 'resume', from: 'native_agent_claim.jsonl', turns: ['Still there?'],
    answers: [stream([text('Still here.')], 'end_turn')] },
  agent_cold: { builds: ['js'], start: 'cold', turns: ['Look around.'], answers: worked },
};
