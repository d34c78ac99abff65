//! Every field that a body of the Responses API has of its own, and what becomes of it.

use super::super::parameters::{Kind, Neutral, Parameter, Scope, Treatment};
use super::super::table::{NO_AUDIO, NO_COUNTERPART, ZERO, of};

use Kind::{Any, Array, Integer, Object, String as Text, StringOrArray, StringOrObject};
use Scope::{InputItem, InputPart, ResponsesBody as Body, Text as TextField};
use Treatment::{Honoured, Ignored, IgnoredIf, Neutral as Only, Refused};

/// The table, alphabetically within each scope. What stands in the body besides is what it is in a chat.
pub const RESPONSES_PARAMETERS: &[Parameter] = &[
    of(Body, "background_options", Object, Refused, "Jobs in the background have no options."),
    of(Body, "context_management", Any, Refused, "The conversation is sent as it is."),
    of(Body, "conversation", StringOrObject, Refused, WHOLE),
    of(Body, "include", Array, Ignored, "Chunks of chats have no place for it."),
    of(Body, "input", StringOrArray, Honoured, "The conversation: a text, or items."),
    of(Body, "instructions", Text, Honoured, "The system prompt."),
    of(Body, "max_output_tokens", Integer, Honoured, "As `max_completion_tokens`."),
    of(Body, "max_tool_calls", Integer, Refused, NO_COUNTERPART),
    of(Body, "previous_response_id", Text, Refused, WHOLE),
    of(Body, "prompt", Object, Refused, "No prompts are stored here."),
    of(Body, "text", Object, Honoured, "What shape the answer has."),
    of(Body, "tool_choice", StringOrObject, Honoured, "As in a chat; objects flat or in two levels."),
    of(Body, "tools", Array, Honoured, "Functions, flat or in two levels."),
    of(Body, "top_logprobs", Integer, Only(ZERO), NO_COUNTERPART),
    of(
        Body,
        "truncation",
        Text,
        IgnoredIf(&[Neutral::Text("auto"), Neutral::Text("disabled")]),
        "Nothing is left out: a conversation that does not fit is an error.",
    ),
    of(TextField, "format", Object, Honoured, "As `response_format`, a schema's fields beside its `type`."),
    of(TextField, "verbosity", Text, Only(&[Neutral::Text("medium")]), NO_COUNTERPART),
    of(InputItem, "arguments", Text, Honoured, "Of a `function_call`: the text of a JSON object."),
    of(InputItem, "call_id", Text, Honoured, "Of a `function_call` and of its output."),
    of(InputItem, "content", StringOrArray, Honoured, "Of a `message`: a text, or parts."),
    of(InputItem, "id", Text, Ignored, OF_THE_ITEM),
    of(InputItem, "name", Text, Honoured, "Of a `function_call`: what is called."),
    of(InputItem, "output", StringOrArray, Honoured, "Of a `function_call_output`: a text, or parts."),
    of(InputItem, "phase", Text, Ignored, OF_THE_ITEM),
    of(InputItem, "role", Text, Honoured, "Of a `message`: who says it."),
    of(InputItem, "status", Text, Ignored, OF_THE_ITEM),
    of(
        InputItem,
        "type",
        Text,
        Honoured,
        "`message`, which it is without a word, `function_call` or `function_call_output`. An item of type `reasoning` \
         is ignored: earlier reasoning is not shown to the model again.",
    ),
    of(InputPart, "annotations", Array, Ignored, "They are the answer's, not the conversation's."),
    of(InputPart, "detail", Text, Ignored, "Images are looked at as they are."),
    of(InputPart, "file_data", Text, Honoured, "Of an `input_file`: a data URL of a PDF or of text."),
    of(InputPart, "file_id", Text, Honoured, "An uploaded file, as if it were sent."),
    of(InputPart, "file_url", Text, Refused, "Files are not fetched; send `file_data`."),
    of(InputPart, "filename", Text, Honoured, "The document's title."),
    of(InputPart, "image_url", Text, Honoured, "Of an `input_image`: as `image_url.url` in a chat."),
    of(InputPart, "input_audio", Any, Refused, NO_AUDIO),
    of(InputPart, "logprobs", Array, Ignored, "They are the answer's, not the conversation's."),
    of(InputPart, "text", Text, Honoured, "Of an `input_text` or `output_text`."),
    of(
        InputPart,
        "type",
        Text,
        Honoured,
        "`input_text`, `output_text`, `input_image`, `input_file`, or as in a chat.",
    ),
];

const WHOLE: &str = "No responses are stored here; send the whole conversation.";
const OF_THE_ITEM: &str = "It tells of the item, not of the conversation.";
