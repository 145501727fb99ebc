//! Reports whose names, messages and values are somebody's attempt to get out of them.

use serde_json::{Map, Value};

/// Texts that break what is careless.
pub const TEXTS: &[&str] = &[
    "<script>window.hit=1</script>",
    "</script><script>window.hit=1</script>",
    "<img src=http://paritas.invalid/x onerror=window.hit=1>",
    "\" onmouseover=window.hit=1 x=\"",
    "' autofocus onfocus='window.hit=1",
    "<!--<script>",
    "]]><x/>",
    "&lt;b&gt;&amp;#60;",
    "javascript:window.hit=1",
    "</style><style>@import 'http://paritas.invalid/y';",
    "</title></head><body>",
    "\u{202e}gnp.exe\u{2066}",
    "a\u{0}b\u{1b}[2J\u{7}\u{9b}31m",
    "line\nbreak\r\n\ttab\u{2028}\u{2029}",
    "=cmd|' /C calc'!A0",
    "@everyone `code` **bold** [x](http://paritas.invalid) | cell |",
    "\u{fffe}\u{ffff}\u{feff}\u{e0041}",
    "{\"a\":1}\\\\\"",
    "e\u{301}\u{1F468}\u{200d}\u{1F469}",
    "",
];

/// Members that hold words of ours, or numbers as texts, and not somebody's.
const OURS: &[&str] = &[
    "verdict",
    "skew_verdict",
    "rtt_verdict",
    "between_verdict",
    "check",
    "class",
    "proof",
    "state",
    "kind",
    "tier",
    "message_type",
    "decision",
    "side",
    "standing",
    "change",
    "relation",
    "from",
    "switchpoint",
    "started_at",
    "ended_at",
    "command",
    "sum",
];

/// Replaces every text of a document that is not a word of ours, names of columns among them.
pub fn replace(document: &mut Value, text: &mut impl FnMut() -> String) {
    match document {
        Value::Object(members) => object(members, text),
        Value::Array(all) => all.iter_mut().for_each(|one| replace(one, text)),
        Value::String(old) => *old = text(),
        _ => {}
    }
}

fn object(members: &mut Map<String, Value>, text: &mut impl FnMut() -> String) {
    for name in ["key", "source", "replica", "group", "difference"] {
        // Columns with their values, and not a side of a check.
        if let Some(Value::Object(pairs)) = members.get_mut(name)
            && !["store", "rows", "total", "groups", "attempts", "size_bytes", "timeline", "source", "samples", "age"]
                .iter()
                .any(|own| pairs.contains_key(*own))
        {
            *pairs = std::mem::take(pairs)
                .into_iter()
                .enumerate()
                .map(|(place, (_, value))| (format!("{place}{}", text()), value))
                .collect();
        }
    }
    for (name, value) in members.iter_mut() {
        if !OURS.contains(&name.as_str()) {
            replace(value, text);
        }
    }
}
