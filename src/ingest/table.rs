//! Tables of text: CSV with a header, and Zeek's tab-separated logs. Each row becomes a JSON record of its columns, and goes the way of
//! all records.
//!
//! Rows are streamed; a text between quotes may hold line breaks. Cells that are unset are left out. A cell that holds JSON stays the text
//! that it is; what Athena writes for a nested value, `{type=IAMUser, arn=…}`, nests. A row with more cells than columns cannot be trusted:
//! it is rejected like any record that no format knows.
//!
//! Not here: which columns mean what (`formats`).

use std::io::{self, BufRead, Read, Take};

use csv::{ByteRecord, Reader, ReaderBuilder};
use serde_json::{Map, Value};

use super::payload::MAX_CONTENT_BYTES;
use super::piece::{MAX_PIECE_BYTES, Piece};

const BYTE_ORDER_MARK: char = '\u{feff}';
/// What may stand between the cells of CSV; where two are as frequent, the first.
const DELIMITERS: [u8; 3] = *b",;\t";
/// Longest name of a column, bytes.
const MAX_NAME: usize = 100;
/// Nested values within nested values that are read.
const DEEPEST_VALUE: usize = 8;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// A header, then rows, with this between the cells.
    Csv(u8),
    /// Lines of `#` that say how to read what follows, with this between the cells.
    Zeek(u8),
}

impl Dialect {
    /// The dialect that the first bytes of a text show, if they begin a table.
    pub fn of(head: &[u8]) -> Option<Self> {
        let end = memchr::memchr(b'\n', head)?;
        let line = String::from_utf8_lossy(&head[..end]);
        let line = line.trim_start_matches(BYTE_ORDER_MARK).trim_end_matches('\r');
        if let Some(separator) = line.strip_prefix("#separator ") {
            return Some(Self::Zeek(unescaped(separator).bytes().next().unwrap_or(b'\t')));
        }
        if line.starts_with("#fields\t") {
            return Some(Self::Zeek(b'\t'));
        }
        let count = |delimiter: &u8| line.bytes().filter(|byte| byte == delimiter).count();
        let delimiter = DELIMITERS.into_iter().rev().max_by_key(count)?;
        is_header(line, delimiter).then_some(Self::Csv(delimiter))
    }
}

/// Whether a line has the names of several columns, each once. Words with blanks between them are a header only in numbers.
fn is_header(line: &str, delimiter: u8) -> bool {
    let names: Vec<&str> = line.split(char::from(delimiter)).map(|name| name.trim_matches('"')).collect();
    let is_name = |name: &&str| {
        let has_only =
            |extra: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.as_bytes().contains(&byte));
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '@')
            && name.len() <= MAX_NAME
            && has_only(if names.len() > 2 { "_.@/-() " } else { "_.@/-" })
            && !name.ends_with(' ')
    };
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    names.len() > 1 && sorted.len() == names.len() && names.iter().all(is_name)
}

/// The rows of a table.
pub(super) struct Table {
    reader: Reader<Take<Box<dyn BufRead + Send>>>,
    is_zeek: bool,
    /// The header, in whose order the cells stand.
    columns: Vec<String>,
    row: ByteRecord,
    /// Rows that were read.
    rows: u64,
    zeek: Zeek,
}

/// What the lines of `#` say.
struct Zeek {
    path: Option<String>,
    types: Vec<String>,
    unset: String,
    empty: String,
    set_separator: String,
}

impl Table {
    pub fn new(reader: Box<dyn BufRead + Send>, dialect: Dialect) -> Self {
        let (delimiter, is_zeek) = match dialect {
            Dialect::Csv(delimiter) => (delimiter, false),
            Dialect::Zeek(separator) => (separator, true),
        };
        let mut options = ReaderBuilder::new();
        options.has_headers(false).flexible(true).delimiter(delimiter).quoting(!is_zeek);
        let zeek = Zeek {
            path: None,
            types: Vec::new(),
            unset: "-".into(),
            empty: "(empty)".into(),
            set_separator: ",".into(),
        };
        let reader = options.from_reader(reader.take(0));
        Self { reader, is_zeek, columns: Vec::new(), row: ByteRecord::new(), rows: 0, zeek }
    }

    /// Whether the table is at its end. Of one that breaks off, the rows before it are there.
    pub fn read(&mut self, max_records: usize, piece: &mut Piece) -> io::Result<bool> {
        piece.start_at(self.rows + 1);
        while piece.len() < max_records && piece.bytes.len() < MAX_PIECE_BYTES {
            if !self.next_row()? {
                return Ok(true);
            }
            self.rows += 1;
            let begin = piece.bytes.len();
            self.append(&mut piece.bytes);
            piece.end_record(true, begin);
        }
        Ok(false)
    }

    /// Reads the next row that is no header.
    fn next_row(&mut self) -> io::Result<bool> {
        loop {
            self.reader.get_mut().set_limit(MAX_CONTENT_BYTES as u64);
            let is_row = self.reader.read_byte_record(&mut self.row)?;
            if self.reader.get_ref().limit() == 0 {
                return Err(io::Error::other(format!(
                    "a row longer than {MAX_CONTENT_BYTES} bytes: a quote that never ends?"
                )));
            }
            if !is_row {
                return Ok(false);
            }
            let is_header = if self.is_zeek { self.read_directive() } else { self.read_header() };
            if !is_header {
                return Ok(true);
            }
        }
    }

    /// Whether the row is a header: the first one, or its repetition where files were joined.
    fn read_header(&mut self) -> bool {
        if self.columns.is_empty() {
            self.columns =
                self.row.iter().map(|cell| text(cell).trim_start_matches(BYTE_ORDER_MARK).to_owned()).collect();
            return true;
        }
        self.row.len() == self.columns.len()
            && self.row.iter().zip(&self.columns).all(|(cell, column)| cell == column.as_bytes())
    }

    /// Whether the row is a line of `#`.
    fn read_directive(&mut self) -> bool {
        let mut cells = self.row.iter().map(text);
        let first = cells.next().unwrap_or_default();
        let Some(name) = first.trim_start_matches(BYTE_ORDER_MARK).strip_prefix('#') else { return false };
        match name {
            "fields" => self.columns = cells.collect(),
            "types" => self.zeek.types = cells.collect(),
            "path" => self.zeek.path = cells.next(),
            "unset_field" => self.zeek.unset = cells.next().unwrap_or_default(),
            "empty_field" => self.zeek.empty = cells.next().unwrap_or_default(),
            "set_separator" => self.zeek.set_separator = cells.next().unwrap_or_default(),
            _ => {}
        }
        true
    }

    /// Appends the row as a JSON record; nothing for a row without values.
    fn append(&self, out: &mut Vec<u8>) {
        if self.row.iter().skip(self.columns.len()).any(|cell| !cell.is_empty()) {
            out.extend(Value::from(text(self.row.as_slice())).to_string().into_bytes());
            return;
        }
        let mut record = Map::new();
        for (at, (name, cell)) in self.columns.iter().zip(&self.row).enumerate() {
            let cell = text(cell);
            let value = if self.is_zeek { self.zeek.value(&cell, self.zeek.types.get(at)) } else { csv_value(&cell) };
            record.extend(value.map(|value| (name.clone(), value)));
        }
        if record.is_empty() {
            return;
        }
        if let Some(path) = &self.zeek.path {
            record.insert("_path".to_owned(), path.as_str().into());
        }
        out.extend(Value::Object(record).to_string().into_bytes());
    }
}

impl Zeek {
    /// A cell as Zeek itself writes it in JSON, numbers as the text that they are; `None` where it is unset.
    fn value(&self, cell: &str, kind: Option<&String>) -> Option<Value> {
        if cell == self.unset || cell == self.empty {
            return None;
        }
        let kind = kind.map_or("", String::as_str);
        Some(match (kind, cell) {
            ("bool", "T") => true.into(),
            ("bool", "F") => false.into(),
            _ if kind.starts_with("set[") || kind.starts_with("vector[") => {
                cell.split(&self.set_separator).map(unescaped).map(Value::from).collect()
            }
            _ => unescaped(cell).into(),
        })
    }
}

fn text(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).into_owned()
}

/// A text without Zeek's escapes, `\x09`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        let byte = escape.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = match byte {
            Some(byte) => {
                bytes.push(byte);
                &escape[2..]
            }
            None => {
                bytes.extend_from_slice(b"\\x");
                escape
            }
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn csv_value(cell: &str) -> Option<Value> {
    let cell = cell.trim();
    if matches!(cell, "" | "-") {
        return None;
    }
    let nested = nested(cell, DEEPEST_VALUE).filter(|(_, rest)| rest.is_empty());
    Some(nested.map_or_else(|| cell.into(), |(value, _)| value))
}

/// The text that Presto and Athena write for a nested value, and what follows.
fn nested(text: &str, depth: usize) -> Option<(Value, &str)> {
    let mut rest = text.strip_prefix('{')?;
    let mut object = Map::new();
    loop {
        let (name, behind) = named(rest)?;
        let (value, behind) = match depth.checked_sub(1).and_then(|depth| nested(behind, depth)) {
            Some(nested) => nested,
            None if behind.starts_with("{}") => (Value::Null, &behind[2..]),
            None => {
                let (value, behind) = behind.split_at(value_end(behind)?);
                (if value == "null" { Value::Null } else { value.into() }, behind)
            }
        };
        object.insert(name.to_owned(), value);
        match behind.strip_prefix('}') {
            Some(behind) => return Some((object.into(), behind)),
            None => rest = behind.strip_prefix(", ")?,
        }
    }
}

/// The name before an equals sign, and what follows.
fn named(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some((name, rest))
}

/// Where a value ends: before the next name, or the brace that closes its object.
fn value_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let ends = |(at, byte): (usize, u8)| {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            b'}' if depth == 0 => return Some(at),
            b',' if depth == 0 && text[at..].strip_prefix(", ").and_then(named).is_some() => return Some(at),
            _ => {}
        }
        None
    };
    text.bytes().enumerate().find_map(ends)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::calls::{CallsBuilder, FingerprintKey};
    use crate::ingest::{DecodeSpec, Decoder, FileReader, FormatKind, Inputs, Place};

    /// The records of a table, one a line.
    fn records(table: &str) -> String {
        let dialect = Dialect::of(table.as_bytes()).unwrap();
        let mut table = Table::new(Box::new(io::Cursor::new(table.as_bytes().to_vec())), dialect);
        let path: Arc<Path> = Path::new("t").into();
        let mut lines = Vec::new();
        loop {
            let mut piece = Piece::new(&path, 1);
            let is_end = table.read(1, &mut piece).unwrap();
            lines.push(String::from_utf8(piece.bytes).unwrap());
            if is_end {
                lines.retain(|line| !line.is_empty());
                return lines.join("\n");
            }
        }
    }

    /// Calls, records that are none, and the lines of errors, of files that are read one after another.
    fn check(files: &[Vec<u8>], spec: &DecodeSpec) -> (u64, u64, Vec<(u64, &'static str)>) {
        let home = tempfile::tempdir().unwrap();
        for (at, bytes) in files.iter().enumerate() {
            fs::write(home.path().join(at.to_string()), bytes).unwrap();
        }
        let inputs = Inputs::resolve(&[home.path().to_str().unwrap().to_owned()]).unwrap();
        let key = tempfile::tempdir().unwrap();
        let key = FingerprintKey::load_or_create(&key.path().join("key")).unwrap();
        let mut calls = CallsBuilder::new(Arc::new(key));
        let mut decoder = Decoder::new(spec).unwrap();
        let mut reader = FileReader::new(&inputs);
        let (mut found, mut others, mut errors) = (0, 0, Vec::new());
        loop {
            let batch = reader.next_batch(&mut decoder, &mut calls, 2).unwrap();
            found += batch.tally.calls;
            others += batch.tally.other_events();
            errors.extend(batch.errors.iter().map(|error| match &error.place {
                Place::File { line, .. } => (*line, error.reason()),
                Place::Kafka { .. } => (0, error.reason()),
            }));
            if batch.finished {
                return (found, others, errors);
            }
        }
    }

    #[test]
    fn rows_of_csv_become_records_of_their_columns() {
        let expected = "{\"host\":\"a, \\\"b\\\"\",\"note\":\"two\\nlines\"}\n{\"host\":\"c\"}\n{\"host\":\"d\",\"note\":\"{\\\"a\\\":1}\"}";
        let rows = "\"a, \"\"b\"\"\",\"two\nlines\"\r\n\r\nc,-\r\n,\r\nhost,note\r\nd,\"{\"\"a\"\":1}\"";
        assert_eq!(records(&format!("\u{feff}host,note\r\n{rows}")), expected);
        assert_eq!(records("\"host\";\"note\"\n\"a\";\"b;c\"\n"), r#"{"host":"a","note":"b;c"}"#);
        assert_eq!(records("http.host\tn\na\t\"1\"\t\n"), r#"{"http.host":"a","n":"1"}"#);
        assert_eq!(records("a,b\n1,2,3\n1\n"), "\"123\"\n{\"a\":\"1\"}");
    }

    #[test]
    fn rows_of_zeek_become_the_records_that_its_json_would_be() {
        let rows = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tssl\n#open\t2026-09-01-00-00-00\n\
            #fields\tts\tuid\tid.orig_h\tserver_name\testablished\ttags\tnote\n#types\ttime\tstring\taddr\tstring\tbool\tset[string]\tstring\n\
            1788220800.905063\tC1\t10.0.0.1\ta\\x09b\\xzz\tT\ta,b\t\"q\n1788220801.0\tC2\t::1\t-\tF\t(empty)\t-\n#close\t2026-09-01-01-00-00\n";
        assert_eq!(
            records(rows).lines().collect::<Vec<_>>(),
            [
                r#"{"_path":"ssl","established":true,"id.orig_h":"10.0.0.1","note":"\"q","server_name":"a\tb\\xzz","tags":["a","b"],"ts":"1788220800.905063","uid":"C1"}"#,
                r#"{"_path":"ssl","established":false,"id.orig_h":"::1","ts":"1788220801.0","uid":"C2"}"#,
            ]
        );
    }

    #[test]
    fn what_is_no_table_is_none() {
        for text in [
            "{\"a\":1,\"b\":2}\n",
            "[1,2]\n",
            "a,b",
            "",
            "Starting the server, please wait\n",
            "Sep  1 00:00:00 web app[7]: started, ready\n",
            "10.0.0.7 - billing [01/Sep/2026:00:00:01 +0000] \"POST /v1 HTTP/1.1\" 200 902 \"-\" \"go, 1\"\n",
            "time,time\n",
            "one\ntwo\n",
            "\n,\n",
        ] {
            assert_eq!(Dialect::of(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Dialect::of(b"Date (UTC),Request ID,User agent\r\n"), Some(Dialect::Csv(b',')));
        assert_eq!(Dialect::of(b"#fields\tts\tuid\n"), Some(Dialect::Zeek(b'\t')));
        assert_eq!(Dialect::of(b"#separator \\x7c\n"), Some(Dialect::Zeek(b'|')));
    }

    #[test]
    fn nested_values_of_athena_nest_and_what_only_begins_like_them_stays_text() {
        let value = |cell| csv_value(cell).unwrap().to_string();
        let identity = "{type=AssumedRole, arn=arn:aws:sts::1:assumed-role/a, b/c, username=null, sessioncontext={attributes={}, n=[{x=1, y=2}]}}";
        assert_eq!(value("{type=IAMUser, name=a, b, c={d=e}}"), r#"{"c":{"d":"e"},"name":"a, b","type":"IAMUser"}"#);
        assert!(value(identity).contains(r#""username":null"#), "{}", value(identity));
        for text in ["{a=b", "{=b}", "{a b=c}", "{a=b} c", "{}", "{\"a\":1}"] {
            assert_eq!(value(text), Value::from(text).to_string());
        }
        nested(&"{a=".repeat(10_000), DEEPEST_VALUE);
    }

    #[test]
    fn cloudtrail_as_athena_exports_it_is_read_as_cloudtrail() {
        let table = "eventversion,useridentity,eventtime,eventsource,eventname,awsregion,sourceipaddress,useragent,additionaleventdata,eventid\n\
            1.08,\"{type=IAMUser, principalid=AIDA, arn=arn:aws:iam::1:user/ben, accountid=1, invokedby=null, accesskeyid=AKIAX, username=ben, \
            sessioncontext=null}\",2023-07-10T11:42:23Z,s3.amazonaws.com,GetObject,us-east-1,10.0.0.1,[Boto3],\
            \"{\"\"bytesTransferredIn\"\":0,\"\"bytesTransferredOut\"\":289}\",e1\n";
        let record = records(table);
        let call = FormatKind::detect(&record).unwrap().decode(&record).unwrap().call().unwrap();
        assert_eq!(
            (&*call.caller, call.operation.as_deref(), call.credential.as_deref()),
            ("ben", Some("s3:GetObject"), Some("AKIAX"))
        );
        assert_eq!((call.bytes_in, call.bytes_out), (Some(289), Some(0)));
        assert_eq!(check(&[table.into()], &DecodeSpec::default()), (1, 0, vec![]));
    }

    #[test]
    fn tables_of_every_packing_and_header_are_read_one_after_another_and_errors_have_rows() {
        let csv = "ts,uid,id.orig_h,id.resp_h,_path,host,method\n1788220800,C1,10.0.0.1,10.0.0.2,http,a.com,GET\n,,,,,,\nx,C2,10.0.0.1,,http,a.com,GET\n";
        let zeek = "#separator \\x09\n#path\thttp\n#fields\tts\tuid\tid.orig_h\thost\tmethod\n1788220800.1\tC3\t10.0.0.1\ta.com\tGET\n\
            #path\tconn\n#fields\tts\tuid\tid.orig_h\tconn_state\n1788220800.1\tC3\t10.0.0.1\tSF\n";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(zeek.as_bytes()).unwrap();
        let files = [csv.into(), gzip.finish().unwrap(), zstd::encode_all(csv.as_bytes(), 1).unwrap()];
        let (calls, others, errors) = check(&files, &DecodeSpec::default());
        assert_eq!((calls, others), (3, 1));
        assert_eq!(errors.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [3, 3]);
    }

    /// Azure LLM inference trace 2023 (CC BY 4.0): columns that no format has.
    #[test]
    fn a_table_of_nobodys_format_is_read_by_what_is_declared() {
        let table = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n";
        let spec: DecodeSpec = toml::from_str(
            "format = 'custom'\nzone = 'UTC'\n[fields]\ntime = 'TIMESTAMP'\ntokens_in = 'ContextTokens'\ntokens_out = 'GeneratedTokens'\n\
            [constants]\ncaller = 'conversation'\nhost = 'llm.azure.com'",
        )
        .unwrap();
        assert_eq!(check(&[table.into()], &spec), (2, 0, vec![]));
    }
}
