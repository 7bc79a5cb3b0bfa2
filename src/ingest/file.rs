//! Files: streamed one after another, whatever they are packed in.
//!
//! Plain, gzip or zstd by their first bytes, never by their name; a record a line, one JSON document over many lines, a table of text,
//! Parquet, or an Avro container. Buffers are reused, and nothing but a document is held as a whole.
//!
//! Not here: which files (`inputs`), what is in a record (`formats`).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec;

use super::container::{self, Container};
use super::cutter::{self, Cutter};
use super::decoder::Decoder;
use super::inputs::{InputError, Inputs, STDIN};
use super::parquet::Rows;
use super::payload::{self, Codec, MAX_CONTENT_BYTES};
use super::piece::{Batch, MAX_PIECE_BYTES, Piece};
use super::table::{Dialect, Table};
use super::utf16::Utf16;
use crate::calls::CallsBuilder;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;
const PARQUET: &[u8] = b"PAR1";

/// Reads files one after another.
pub struct FileReader {
    waiting: vec::IntoIter<Arc<Path>>,
    current: Option<Source>,
    /// What ended the last file too early: told after the batch with what it still gave.
    failure: Option<InputError>,
    last: Arc<Path>,
    bytes_read: Arc<AtomicU64>,
    bytes_total: u64,
    /// Bytes of the last piece: room for as many is made for the next.
    piece_bytes: usize,
}

impl FileReader {
    /// A reader of those files. None is opened yet.
    pub fn new(inputs: &Inputs) -> Self {
        let paths = inputs.paths().to_vec();
        let sizes = paths.iter().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len());
        Self {
            bytes_total: sizes.sum(),
            last: paths.first().map_or_else(|| Path::new(STDIN).into(), Arc::clone),
            waiting: paths.into_iter(),
            current: None,
            failure: None,
            bytes_read: Arc::default(),
            piece_bytes: 0,
        }
    }

    /// Reads on, up to `max_records` records or the end of the file. Of JSON that is no lines, each value counts as one.
    ///
    /// # Errors
    /// A file cannot be read, or not to its end. What was read of it stands; the next call goes on with the next file.
    pub fn next_piece(&mut self, max_records: usize) -> Result<Piece, InputError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.current.is_none()
            && let Some(path) = self.waiting.next()
        {
            self.last = Arc::clone(&path);
            self.current = Some(Source::open(path, &self.bytes_read)?);
        }
        let mut piece = Piece::new(&self.last, 1);
        piece.bytes.reserve(self.piece_bytes);
        if let Some(mut source) = self.current.take() {
            match source.read(max_records, &mut piece) {
                Ok(true) => {}
                Ok(false) => self.current = Some(source),
                Err(failure) => self.failure = Some(failure),
            }
        }
        self.piece_bytes = piece.bytes.len().min(MAX_PIECE_BYTES);
        piece.finished = self.current.is_none() && self.failure.is_none() && self.waiting.len() == 0;
        Ok(piece)
    }

    /// Reads on and decodes, up to `max_records` records or the end of the file.
    ///
    /// # Errors
    /// As [`Self::next_piece`].
    pub fn next_batch(
        &mut self,
        decoder: &mut Decoder,
        calls: &mut CallsBuilder,
        max_records: usize,
    ) -> Result<Batch, InputError> {
        Ok(self.next_piece(max_records)?.decode(decoder, calls))
    }

    /// Bytes read so far, as they lie on disk.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Bytes of all files together, as they lie on disk; of standard input none are known.
    pub const fn bytes_total(&self) -> u64 {
        self.bytes_total
    }
}

/// An open file.
struct Source {
    path: Arc<Path>,
    content: Content,
}

enum Content {
    Text(Text),
    Table(Box<Table>),
    Parquet(Rows),
    Avro(Box<Container<Box<dyn BufRead + Send>>>),
}

impl Source {
    fn open(path: Arc<Path>, counter: &Arc<AtomicU64>) -> Result<Self, InputError> {
        let content = Content::open(&path, counter)?;
        Ok(Self { path, content })
    }

    /// Whether the file is at its end.
    fn read(&mut self, max_records: usize, piece: &mut Piece) -> Result<bool, InputError> {
        match &mut self.content {
            Content::Parquet(rows) => rows.read(max_records, piece),
            Content::Table(table) => table.read(max_records, piece).map_err(InputError::unreadable(&self.path)),
            Content::Avro(container) => read(container, max_records, piece).map_err(InputError::unreadable(&self.path)),
            Content::Text(text) => text.read(max_records, piece).map_err(InputError::unreadable(&self.path)),
        }
    }
}

impl Content {
    fn open(path: &Arc<Path>, counter: &Arc<AtomicU64>) -> Result<Self, InputError> {
        let counter = Arc::clone(counter);
        if path.as_os_str() == STDIN {
            let text = Text::open(Counted { inner: io::stdin(), counter });
            return text.and_then(Self::of_text).map_err(InputError::unreadable(path));
        }
        let (file, is_parquet) = open(path).map_err(InputError::unreadable(path))?;
        if is_parquet {
            return Rows::open(path, file, counter).map(Self::Parquet);
        }
        Text::open(Counted { inner: file, counter }).and_then(Self::of_text).map_err(InputError::unreadable(path))
    }

    fn of_text(text: Text) -> io::Result<Self> {
        Ok(match text.table {
            _ if text.is_container => Self::Avro(Box::new(Container::open(text.reader)?)),
            Some(dialect) => Self::Table(Box::new(Table::new(text.reader, dialect))),
            None => Self::Text(text),
        })
    }
}

/// Reads records of a container; whether it is at its end.
fn read(container: &mut Container<impl BufRead>, max_records: usize, piece: &mut Piece) -> io::Result<bool> {
    piece.start_at(container.records() + 1);
    while piece.len() < max_records && piece.bytes.len() < MAX_PIECE_BYTES {
        let begin = piece.bytes.len();
        let limit = begin + MAX_CONTENT_BYTES;
        if !container.next(&mut piece.bytes, limit).inspect_err(|_| piece.bytes.truncate(begin))? {
            return Ok(true);
        }
        piece.end_record(true, begin);
    }
    Ok(false)
}

/// The file, at its start, and whether it is Parquet. A pipe is not asked: what is read of it is gone.
pub(super) fn open(path: &Path) -> io::Result<(File, bool)> {
    let file = File::open(path)?;
    let mut head = Vec::new();
    if file.metadata()?.is_file() {
        File::open(path)?.take(PARQUET.len() as u64).read_to_end(&mut head)?;
    }
    Ok((file, head == PARQUET))
}

/// Lines, or one document; or the rows of a table, which [`Table`] reads, or the records of a [`Container`].
pub(super) struct Text {
    reader: Box<dyn BufRead + Send>,
    pub is_document: bool,
    /// Cuts values out of what is no lines.
    cutter: Option<Cutter>,
    pub table: Option<Dialect>,
    pub is_container: bool,
    /// What a line ends with.
    end: u8,
    line: u64,
    pub buffer: Vec<u8>,
}

impl Text {
    /// The first buffer's bytes tell how the text is packed: waiting for more would hold up a pipe that is written to slowly.
    pub fn open(raw: impl Read + Send + 'static) -> io::Result<Self> {
        let mut raw = BufReader::with_capacity(BUFFER, raw);
        let codec = Codec::of(raw.fill_buf()?);
        let mut reader: Box<dyn BufRead + Send> = match codec {
            None => Box::new(raw),
            Some(Codec::Gzip) => Box::new(BufReader::with_capacity(BUFFER, flate2::bufread::MultiGzDecoder::new(raw))),
            Some(Codec::Zstd) => {
                Box::new(BufReader::with_capacity(BUFFER, zstd::stream::read::Decoder::with_buffer(raw)?))
            }
        };
        reader = match Utf16::of(reader)? {
            Ok(utf16) => Box::new(BufReader::with_capacity(BUFFER, utf16)),
            Err(other) => other,
        };
        let head = reader.fill_buf()?;
        let beginning = String::from_utf8_lossy(head);
        let is_document = payload::is_document(payload::trim(&beginning));
        let cutter = (is_document || cutter::is_cut(&beginning)).then(Cutter::default);
        let is_container = head.starts_with(container::MAGIC);
        let table = Dialect::of(head);
        let end = if payload::ends_with_returns(&beginning) { b'\r' } else { b'\n' };
        Ok(Self { reader, is_document, cutter, table, is_container, end, line: 0, buffer: Vec::new() })
    }

    /// Whether the text is at its end. Of a text that breaks off within a record, the records before it are there.
    fn read(&mut self, max_records: usize, piece: &mut Piece) -> io::Result<bool> {
        piece.start_at(self.line + 1);
        while piece.len() < max_records && piece.bytes.len() < MAX_PIECE_BYTES {
            let begin = piece.bytes.len();
            let read = match &mut self.cutter {
                Some(cutter) => cutter.next(&mut self.reader, MAX_CONTENT_BYTES, &mut piece.bytes),
                None => self.append_line(&mut piece.bytes),
            };
            let fits = read.inspect_err(|_| piece.bytes.truncate(begin))?;
            if piece.bytes.len() == begin {
                return Ok(true);
            }
            self.line += 1;
            piece.end_record(fits, begin);
        }
        Ok(false)
    }

    /// Fills the buffer with the next line; empty at the end. Whether the line fits: of one that does not, the rest is passed over.
    pub fn next_line(&mut self) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let fits = self.append_line(&mut buffer);
        self.buffer = buffer;
        fits
    }

    /// Fills the buffer with all the rest; empty at the end. Whether it fits.
    pub fn next_document(&mut self) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let fits = self.append_document(&mut buffer);
        self.buffer = buffer;
        fits
    }

    fn append_line(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let begin = out.len();
        let one_more = MAX_CONTENT_BYTES as u64 + 1;
        self.reader.by_ref().take(one_more).read_until(self.end, out)?;
        let fits = out.len() - begin <= MAX_CONTENT_BYTES;
        if !fits && !out.ends_with(&[self.end]) {
            self.reader.skip_until(self.end)?;
        }
        Ok(fits)
    }

    fn append_document(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let read = self.reader.by_ref().take(MAX_CONTENT_BYTES as u64 + 1).read_to_end(out)?;
        let fits = read <= MAX_CONTENT_BYTES;
        if !fits {
            io::copy(&mut self.reader, &mut io::sink())?;
        }
        Ok(fits)
    }
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    counter: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.counter.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;
    use crate::calls::FingerprintKey;
    use crate::ingest::formats::FormatKind;
    use crate::ingest::{DecodeSpec, Place};

    fn builder() -> CallsBuilder {
        let home = tempfile::tempdir().unwrap();
        CallsBuilder::new(Arc::new(FingerprintKey::load_or_create(&home.path().join("key")).unwrap()))
    }

    fn sample(format: &str) -> String {
        FormatKind::named(format).unwrap().sample.replace('\n', "")
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    }

    /// Reads all files; the batches as text, `name: calls, errors`, and what went wrong.
    fn check(files: &[(&str, Vec<u8>)], max_calls: usize) -> Vec<String> {
        let home = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(home.path().join(name), bytes).unwrap();
        }
        let inputs = Inputs::resolve(&[home.path().to_str().unwrap().to_owned()]).unwrap();
        let mut reader = FileReader::new(&inputs);
        let (mut decoder, mut calls) = (Decoder::new(&DecodeSpec::default()).unwrap(), builder());
        let mut told = Vec::new();
        loop {
            match reader.next_batch(&mut decoder, &mut calls, max_calls) {
                Ok(batch) => {
                    let name = PathBuf::from(batch.source.file_name().unwrap());
                    let lines: Vec<_> = batch
                        .errors
                        .iter()
                        .map(|error| match &error.place {
                            Place::File { line, .. } => *line,
                            Place::Kafka { .. } => 0,
                        })
                        .collect();
                    told.push(format!("{}: {} calls, errors at {lines:?}", name.display(), batch.tally.calls));
                    if batch.finished {
                        break;
                    }
                }
                Err(InputError::Unreadable { path, .. } | InputError::Parquet { path, .. }) => {
                    told.push(format!("{}: failed", path.file_name().unwrap().display()));
                }
                Err(other) => told.push(other.to_string()),
            }
        }
        assert!(reader.bytes_read() <= reader.bytes_total());
        told
    }

    #[test]
    fn files_of_every_packing_are_read_one_after_another() {
        let (ecs, cloudtrail) = (sample("ecs"), sample("cloudtrail"));
        let record: serde_json::Value = serde_json::from_str(&cloudtrail).unwrap();
        let document = serde_json::to_string_pretty(&serde_json::json!({ "Records": [record, record] })).unwrap();
        let files = [
            ("a", format!("{ecs}\nbroken\n\n{ecs}").into_bytes()),
            ("b", gzip(&document)),
            (
                "c",
                zstd::encode_all(format!("{{\"Records\":[{cloudtrail},{cloudtrail},{cloudtrail}]}}").as_bytes(), 1)
                    .unwrap(),
            ),
        ];
        let expected = ["a: 2 calls, errors at [2]", "b: 2 calls, errors at []", "c: 3 calls, errors at []"];
        assert_eq!(check(&files, 1_000), expected);
    }

    #[test]
    fn lines_that_end_with_returns_and_text_sequences_are_read() {
        let ecs = sample("ecs");
        let line = r#"10.0.0.7 - - [01/Sep/2026:00:00:01 +0000] "GET https://x.io/a HTTP/1.1" 200 902 "-" "go""#;
        let files = [
            ("a", format!("{ecs}\rbroken\r{ecs}").into_bytes()),
            ("b", format!("{line}\r{line}\r").into_bytes()),
            ("c", format!("\u{1e}{ecs}\n\u{1e}{ecs}\n").into_bytes()),
            ("d", format!("\u{1e}{ecs}\u{1e}{ecs}").into_bytes()),
        ];
        let expected = [
            "a: 2 calls, errors at [2]",
            "b: 2 calls, errors at []",
            "c: 2 calls, errors at []",
            "d: 2 calls, errors at []",
        ];
        assert_eq!(check(&files, 1_000), expected);
    }

    #[test]
    fn the_real_samples_are_read_without_one_error() {
        let read =
            |name: &str| fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/samples").join(name)).unwrap();
        let files = ["cloudtrail-records.json", "cloudtrail.ndjson", "ecs.ndjson"].map(|name| (name, read(name)));
        let expected = [
            "cloudtrail-records.json: 8 calls, errors at []",
            "cloudtrail.ndjson: 38 calls, errors at []",
            "ecs.ndjson: 40 calls, errors at []",
        ];
        assert_eq!(check(&files, 1_000), expected);
    }

    #[test]
    fn a_batch_ends_with_enough_calls_and_goes_on_there() {
        let files = [("a", format!("{}\n", sample("ecs")).repeat(5).into_bytes())];
        assert_eq!(check(&files, 2), [2, 2, 1].map(|calls| format!("a: {calls} calls, errors at []")));
    }

    #[test]
    fn of_a_cut_file_what_could_be_read_stands_and_the_next_file_follows() {
        let line = format!("{}\n", sample("ecs"));
        let whole = gzip(&line);
        let mut cut = [gzip(&line.repeat(3)), gzip(&line)].concat();
        cut.truncate(cut.len() - 12);
        let files = [("a", cut), ("b", whole)];
        let told = check(&files, 1_000);
        assert!(told[0].starts_with("a: 3 calls"), "{told:?}");
        assert_eq!(told[1..], ["a: failed", "b: 1 calls, errors at []"]);
    }
}
