//! Lines of text, cut into tokens: bare words, and what stands in quotes, brackets or braces.
//!
//! Not here: what a token means (one file a format).

/// A token, without its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Bare(&'a str),
    Quoted(&'a str),
    Bracketed(&'a str),
    Braced(&'a str),
}

impl<'a> Token<'a> {
    /// The text between the marks.
    pub fn text(self) -> &'a str {
        let (Self::Bare(text) | Self::Quoted(text) | Self::Bracketed(text) | Self::Braced(text)) = self;
        text
    }

    /// The text, if it is a bare number or the dash that stands for none.
    pub fn number(self) -> Option<&'a str> {
        if let Self::Bare(text) = self { Some(text).filter(|text| is_count(text)) } else { None }
    }
}

/// The tokens of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let text = self.rest.trim_start();
        let enclosed = match text.as_bytes().first()? {
            b'"' => quoted(text).map(|(inside, rest)| (Token::Quoted(inside), rest)),
            b'[' => enclosed(text, ']').map(|(inside, rest)| (Token::Bracketed(inside), rest)),
            b'{' => enclosed(text, '}').map(|(inside, rest)| (Token::Braced(inside), rest)),
            _ => None,
        };
        let (token, rest) = enclosed.unwrap_or_else(|| {
            let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
            (Token::Bare(word), rest)
        });
        self.rest = rest;
        Some(token)
    }
}

impl<'a> Tokens<'a> {
    pub fn of(line: &'a str) -> Self {
        Self { rest: line }
    }

    /// What follows the tokens taken so far.
    pub fn rest(&self) -> &'a str {
        self.rest.trim()
    }

    /// The next token, if it is a bare word; else it stays.
    pub fn bare(&mut self) -> Option<&'a str> {
        self.take(|token| if let Token::Bare(text) = token { Some(text) } else { None })
    }

    /// The next token, if it stands in quotes; else it stays.
    pub fn quoted(&mut self) -> Option<&'a str> {
        self.take(|token| if let Token::Quoted(text) = token { Some(text) } else { None })
    }

    /// The next token, if it stands in brackets; else it stays.
    pub fn bracketed(&mut self) -> Option<&'a str> {
        self.take(|token| if let Token::Bracketed(text) = token { Some(text) } else { None })
    }

    /// The next token, if it stands in braces; else it stays.
    pub fn braced(&mut self) -> Option<&'a str> {
        self.take(|token| if let Token::Braced(text) = token { Some(text) } else { None })
    }

    fn take(&mut self, pick: fn(Token<'a>) -> Option<&'a str>) -> Option<&'a str> {
        let mut after = *self;
        let found = after.next().and_then(pick)?;
        *self = after;
        Some(found)
    }
}

/// Up to the first quote that is not escaped and ends a token: not every logger escapes quotes.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inside = &text[1..];
    let is_end = |at: &usize| {
        let escapes = inside[..*at].bytes().rev().take_while(|byte| *byte == b'\\').count();
        escapes.is_multiple_of(2) && inside[at + 1..].chars().next().is_none_or(char::is_whitespace)
    };
    let end = inside.match_indices('"').map(|(at, _)| at).find(is_end)?;
    Some((&inside[..end], &inside[end + 1..]))
}

/// Up to the first closing mark, which must end a token: `[::1]:443` is a word.
fn enclosed(text: &str, close: char) -> Option<(&str, &str)> {
    let (inside, rest) = text[1..].split_once(close)?;
    rest.chars().next().is_none_or(char::is_whitespace).then_some((inside, rest))
}

/// Whether a text is digits, or the dash that stands for none.
pub(super) fn is_count(text: &str) -> bool {
    text == "-" || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What Apache's common log format begins with, and that of its many relatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Common<'a> {
    /// The host that was asked for, where the line begins with it.
    pub host: Option<&'a str>,
    /// An address, or a chain of them.
    pub client: &'a str,
    pub user: &'a str,
    pub time: &'a str,
    pub request: &'a str,
    pub status: &'a str,
    pub bytes: &'a str,
}

impl<'a> Common<'a> {
    /// Reads `10.0.0.7 - billing [01/Sep/2026:00:00:01 +0000] "POST /v1/charges HTTP/1.1" 200 902`, and gives what follows.
    pub fn cut(line: &'a str) -> Option<(Self, Tokens<'a>)> {
        let (head, rest) = line.split_once(" [")?;
        let mut words = head.trim().rsplitn(3, ' ');
        let (user, _identity, clients) = (words.next()?, words.next()?, words.next()?.trim());
        let (time, rest) = rest.split_once(']')?;
        let mut tokens = Tokens::of(rest);
        let (request, status, bytes) = (tokens.quoted()?, tokens.bare()?, tokens.bare()?);
        let is_date = [2, 6].iter().all(|at| time.as_bytes().get(*at) == Some(&b'/'));
        let is_status = is_count(status) && (status.len() == 3 || status == "-" || status == "0");
        let (host, client) = match clients.split_once(' ') {
            Some((first, others)) if !first.ends_with(',') && !first.starts_with('"') => (Some(first), others),
            _ => (None, clients),
        };
        // A chain in quotes stands before the last proxy.
        let client = client.strip_prefix('"').and_then(|chain| chain.split('"').next()).unwrap_or(client);
        let common = Self { host, client, user, time, request, status, bytes };
        (is_date && is_status && is_count(bytes) && !client.is_empty()).then_some((common, tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_brackets_and_braces_enclose_blanks_and_end_where_a_token_ends() {
        let tokens = |line| Tokens::of(line).collect::<Vec<_>>();
        let expected =
            [Token::Bare("a"), Token::Quoted(r#"b "c\" d"#), Token::Bracketed("e f"), Token::Braced("g|h i")];
        assert_eq!(tokens(r#"a   "b "c\" d" [e f] {g|h i}"#), expected);
        assert_eq!(tokens(r#"[::1]:443 "open é"#), [Token::Bare("[::1]:443"), Token::Bare("\"open"), Token::Bare("é")]);
        assert_eq!(tokens("  "), []);
    }

    #[test]
    fn a_token_of_another_kind_stays() {
        let mut tokens = Tokens::of(r#""a" b"#);
        assert_eq!((tokens.bare(), tokens.quoted(), tokens.bare(), tokens.bare()), (None, Some("a"), Some("b"), None));
    }

    #[test]
    fn the_common_beginning_is_read_and_nothing_that_only_resembles_it() {
        let line = r#"::1 - - [01/Sep/2026:00:00:01 +0000] "GET / HTTP/1.1" 304 - "x""#;
        let (common, tokens) = Common::cut(line).unwrap();
        assert_eq!((common.client, common.user, common.status, common.bytes), ("::1", "-", "304", "-"));
        assert_eq!((common.host, tokens.rest()), (None, r#""x""#));
        for other in ["", "a b c", r#"a - - [today] "GET /" 200 1"#, r#"a - - [01/Sep/2026:00] "GET /" ok 1"#] {
            assert!(Common::cut(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_host_and_a_chain_of_clients_before_the_line_are_told_apart() {
        for (head, host, client) in [
            ("10.0.0.2, 10.0.0.1", None, "10.0.0.2, 10.0.0.1"),
            ("x.io:80 10.0.0.2, 10.0.0.1", Some("x.io:80"), "10.0.0.2, 10.0.0.1"),
            (r#""10.0.0.2, 10.0.0.1" 10.2.1.185"#, None, "10.0.0.2, 10.0.0.1"),
            (r#"x.io "10.0.0.2" 10.2.1.185"#, Some("x.io"), "10.0.0.2"),
            ("fd00::1, 10.0.0.1 10.2.2.121", None, "fd00::1, 10.0.0.1 10.2.2.121"),
            ("unix:", None, "unix:"),
        ] {
            let line = format!(r#"{head} - - [01/Sep/2026:00:00:01 +0000] "GET / HTTP/1.1" 200 1"#);
            let (common, _) = Common::cut(&line).unwrap();
            assert_eq!((common.host, common.client), (host, client));
        }
    }
}
