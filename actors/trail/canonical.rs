//! One text for one value.

use serde_json::{Value, json};

/// JSON as RFC 8785 writes it: no white space, keys in order of their UTF-16 units. (Its rule for fractions is not
/// implemented: nothing here holds one.)
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            let field = |(name, value): (&String, &Value)| format!("{}:{}", json!(name), canonical(value));
            format!("{{{}}}", fields.into_iter().map(field).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        leaf => leaf.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_json_with_its_keys_in_order() {
        let value = json!({ "b": [1, { "z": null, "é": true, "a": "\u{1}" }], "a": {}, "\u{1f600}": 0, "\u{fb33}": 1 });
        assert_eq!(
            canonical(&value),
            "{\"a\":{},\"b\":[1,{\"a\":\"\\u0001\",\"z\":null,\"é\":true}],\"\u{1f600}\":0,\"\u{fb33}\":1}"
        );
    }
}
