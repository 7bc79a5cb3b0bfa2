//! Samples of payloads: which classes of data a text shows, by the names in it and by values of known form.
//!
//! A value counts where its form can be checked: a card by issuer, length and check digit, an IBAN by its checksum, a mail address by its
//! parts, a key by its public beginning. What was looked at is forgotten at once: classes come out, never a part of the text.
//!
//! Not here: which names tell a class (`data_class`), and where samples come from (`content`).

use super::data_class::{DataClass, DataClasses};
use super::secret::holds_real_key;

/// Longest part of a sample that is looked at, bytes.
const MAX_SAMPLE: usize = 65_536;
/// Deepest object whose name is known to the names in it.
const MAX_DEPTH: usize = 64;
/// Shortest value of any form, bytes.
const MIN_VALUE: usize = 6;
/// Digits of a card's number. Old ones of 13 and rare ones of 19 are left out: ids of so many digits are many.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 14..=16;
/// Fewest digits of an IBAN: two of its checksum, and those of the shortest account.
const MIN_IBAN_DIGITS: usize = 8;
/// Characters of an IBAN (ISO 13616).
const IBAN_LENGTH: std::ops::RangeInclusive<usize> = 15..=34;

/// The classes that a sample shows; `of_name` tells those of a name.
pub(super) fn classes_in(sample: &str, mut of_name: impl FnMut(&str) -> DataClasses) -> DataClasses {
    let end = (0..=sample.len().min(MAX_SAMPLE)).rev().find(|&end| sample.is_char_boundary(end)).unwrap_or_default();
    let sample = sample[..end].trim_start();
    let mut classes = DataClasses::default();
    match sample.as_bytes().first() {
        Some(b'{' | b'[') => json_names(sample, |name| classes.add(of_name(name))),
        Some(b'<') => xml_names(sample, |name| classes.add(of_name(name))),
        _ if sample.contains('=') => {
            for (name, value) in pairs(sample) {
                classes.add(of_name(&decoded(name)));
                classes.add(of_value(&decoded(value)));
            }
            return classes;
        }
        _ => {}
    }
    classes.add(of_value(sample));
    classes
}

/// The classes that a value shows by its form. Most values are short, and no form is: each is looked for where it can be.
pub(super) fn of_value(text: &str) -> DataClasses {
    let mut classes = DataClasses::default();
    if text.len() < MIN_VALUE {
        return classes;
    }
    let mut add = |class| classes.add(DataClasses::of(class));
    let (mut digits, mut has_at) = (0, false);
    for byte in text.bytes() {
        digits += usize::from(byte.is_ascii_digit());
        has_at |= byte == b'@';
    }
    let is_part = |symbol: char| symbol.is_ascii_alphanumeric() || "._@+-".contains(symbol);
    let words = || text.split(|symbol| !is_part(symbol));
    if (has_at && words().any(is_mail_address)) || (digits >= MIN_IBAN_DIGITS && words().any(is_iban)) {
        add(DataClass::Personal);
    }
    // Of the words the one that holds it: what else the text has is no part of a token.
    let is_key = |word: &str| !word.starts_with("-----") && holds_real_key(word);
    let has_key = holds_real_key(text) && words().any(is_key);
    if has_key || (text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----")) {
        add(DataClass::Secrets);
    }
    if digits >= *CARD_DIGITS.start() && holds_card(text) {
        add(DataClass::Card);
    }
    if text.starts_with("diff --git ") || text.contains("\ndiff --git ") {
        add(DataClass::SourceCode);
    }
    classes
}

/// Names and values of a query or a form.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// A text without percent signs where it has some.
pub(super) fn decoded(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('%') { percent_encoding::percent_decode_str(text).decode_utf8_lossy() } else { text.into() }
}

/// Strings with a colon behind them, each behind the name of the object that it is in: `card.number`.
fn json_names(json: &str, mut name: impl FnMut(&str)) {
    let (mut objects, mut last): (Vec<&str>, &str) = (Vec::new(), "");
    let bytes = json.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' if objects.len() < MAX_DEPTH => objects.push(last),
            b'}' => last = objects.pop().unwrap_or_default(),
            b'"' => {
                let start = at + 1;
                at = start;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                let (Some(string), Some(behind)) = (json.get(start..at), json.get(at + 1..)) else { return };
                if behind.trim_start().starts_with(':') {
                    match objects.last() {
                        Some(object) if !object.is_empty() => name(&format!("{object}.{string}")),
                        _ => name(string),
                    }
                    last = string;
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Names of elements.
fn xml_names(xml: &str, mut name: impl FnMut(&str)) {
    for tag in xml.split('<').skip(1) {
        let end = tag.find(|symbol: char| !(symbol.is_alphanumeric() || "_-.:".contains(symbol))).unwrap_or(tag.len());
        name(&tag[..end]);
    }
}

fn is_mail_address(word: &str) -> bool {
    let word = word.trim_matches(['.', '-']);
    let Some((own, domain)) = word.split_once('@') else { return false };
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let suffix = domain.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    let has_suffix = suffix.len() >= 2 && suffix.bytes().all(|byte| byte.is_ascii_alphabetic());
    !own.is_empty() && has_suffix && domain.split('.').all(is_label)
}

/// Whether the checksum of ISO 7064 (mod 97) fits.
fn is_iban(word: &str) -> bool {
    let bytes = word.as_bytes();
    let has_head = IBAN_LENGTH.contains(&bytes.len())
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..4].iter().all(u8::is_ascii_digit);
    if !has_head || !bytes.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
        return false;
    }
    let remainder = bytes[4..].iter().chain(&bytes[..4]).fold(0_u32, |remainder, byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        _ => (remainder * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    remainder == 1
}

/// Whether a run of digits, perhaps in groups with a blank or dash between them, is the number of a card.
fn holds_card(text: &str) -> bool {
    let (mut digits, mut before, mut is_in_word) = (Vec::new(), b' ', false);
    for &byte in text.as_bytes().iter().chain(b" ") {
        match byte {
            b'0'..=b'9' if !is_in_word => digits.push(byte - b'0'),
            b' ' | b'-' if !is_in_word && before.is_ascii_digit() && !is_card(&digits) => {}
            _ => {
                if is_card(&digits) && !(byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_') {
                    return true;
                }
                digits.clear();
                is_in_word = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
            }
        }
        before = byte;
    }
    false
}

/// Whether digits are the number of a card: an issuer's range and length (ISO/IEC 7812), and the check digit (Luhn).
fn is_card(digits: &[u8]) -> bool {
    if !CARD_DIGITS.contains(&digits.len()) {
        return false;
    }
    let head = |length: usize| digits[..length].iter().fold(0_u32, |head, digit| head * 10 + u32::from(*digit));
    let is_issued = matches!(
        (head(1), head(2), head(4), digits.len()),
        (4, _, _, 16)
            | (_, 51..=55 | 65, _, 16)
            | (_, _, 2221..=2720 | 3528..=3589 | 6011, 16)
            | (_, 34 | 37, _, 15)
            | (_, 36 | 38, _, 14)
    );
    let luhn: u32 = digits.iter().rev().enumerate().map(|(at, digit)| luhn_of(at, u32::from(*digit))).sum();
    is_issued && luhn.is_multiple_of(10)
}

fn luhn_of(at: usize, digit: u32) -> u32 {
    match (at % 2, digit * 2) {
        (0, _) => digit,
        (_, doubled) if doubled > 9 => doubled - 9,
        (_, doubled) => doubled,
    }
}

#[cfg(test)]
mod tests {
    use super::super::data_class::DataWords;
    use super::*;

    fn told(sample: &str) -> String {
        let words = DataWords::default();
        classes_in(sample, |name| words.classes(name)).text()
    }

    #[test]
    fn names_in_json_xml_and_forms_tell_classes() {
        for (sample, classes) in [
            (r#"{"variables":{"input":{"customerEmail":null,"card":{"cvc":1}}}}"#, "personal card"),
            (r#"{"cards":[{"holder":1},{"number":2}],"card":{"a":{},"number":3}}"#, "card"),
            (r#"{"number":1,"card":{},"x":{"number":2}}"#, ""),
            (r#"[{"note":"the email: unknown","diagnosis":"J45"}]"#, "health"),
            (r#"{"a":"email"}"#, ""),
            (r#"{"a\"b":1,"password":"#, "secrets"),
            ("<order><firstName>x</firstName></order>", "personal"),
            ("grant_type=refresh&client_secret=x", "secrets"),
            ("mail=jo%40example.com", "personal"),
            ("plain text about an email", ""),
            (r#"{"open"#, ""),
            ("", ""),
        ] {
            assert_eq!(told(sample), classes, "{sample}");
        }
    }

    #[test]
    fn values_tell_classes_by_a_form_that_can_be_checked() {
        for (value, classes) in [
            ("write to jo.doe+x@mail.example.com.", "personal"),
            ("pay to DE89370400440532013000 soon", "personal"),
            ("pay to DE89370400440532013001 soon", ""),
            ("4242 4242 4242 4242", "card"),
            ("no. 4242-4242-4242-4242!", "card"),
            (r#""378282246310005""#, "card"),
            ("4242424242424241", ""),
            ("order_4242424242424242", ""),
            ("0.4242424242424242", ""),
            ("1788220800905000", ""),
            ("@decorator jo@localhost a@b", ""),
            ("AKIAIOSFODNN7EXAMPLE", "secrets"),
            ("eyJwYWdlIjoyLCJzaXplIjoxMDB9", ""),
            ("diff --git a/x b/x", "source_code"),
        ] {
            assert_eq!(of_value(value).text(), classes, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_sample_makes_it_panic(sample in r#"[-{}\[\]<>"\\:=&%@. a-zA-Z0-9é€💳]{0,80}"#) {
            let _ = told(&sample);
        }
    }
}
