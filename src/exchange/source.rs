//! The bytes of a file as UTF-8, with a bound on how much of it one row may take.

use std::io::{self, Read};

/// Bytes read from the file at once.
const CHUNK: usize = 32 << 10;
/// Longest first line that is looked at before it is read, in bytes.
const HEAD: usize = 256 << 10;

/// More was asked for than the row may take.
#[derive(Debug, thiserror::Error)]
#[error("a row is too long")]
pub(super) struct TooLong;

/// A file while it is read: its byte order mark is gone, and UTF-16 is UTF-8.
#[derive(Debug)]
pub(super) struct Source<R> {
    rest: R,
    encoding: Encoding,
    /// Bytes as they came that are no whole character yet.
    pending: Vec<u8>,
    /// What was decoded; read up to `at`.
    decoded: Vec<u8>,
    at: usize,
    ended: bool,
    allowance: usize,
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Utf8,
    Utf16(fn([u8; 2]) -> u16),
}

impl<R: Read> Source<R> {
    /// Looks at the byte order mark.
    pub(super) fn open(rest: R) -> io::Result<Self> {
        let mut source = Self {
            rest,
            encoding: Encoding::Utf8,
            pending: Vec::new(),
            decoded: Vec::new(),
            at: 0,
            ended: false,
            allowance: usize::MAX,
        };
        let mut mark = Vec::with_capacity(3);
        source.rest.by_ref().take(3).read_to_end(&mut mark)?;
        source.encoding = match mark.as_slice() {
            [0xEF, 0xBB, 0xBF] => return Ok(source),
            [0xFF, 0xFE, ..] => Encoding::Utf16(u16::from_le_bytes),
            [0xFE, 0xFF, ..] => Encoding::Utf16(u16::from_be_bytes),
            _ => {
                source.decoded = mark;
                return Ok(source);
            }
        };
        source.pending.extend(mark.into_iter().skip(2));
        Ok(source)
    }

    /// Returns the first line, or as much of it as is looked at; it is read again afterwards.
    pub(super) fn head(&mut self) -> io::Result<&[u8]> {
        let mut quoted = false;
        let mut seen = 0;
        loop {
            for (index, byte) in self.decoded.iter().enumerate().skip(seen) {
                match byte {
                    b'"' => quoted = !quoted,
                    // Blank lines before the first are not the first.
                    b'\n'
                        if !quoted
                            && !self.decoded.iter().take(index).all(u8::is_ascii_whitespace) =>
                    {
                        return Ok(self.decoded.get(..index).unwrap_or_default());
                    }
                    _ => {}
                }
            }
            seen = self.decoded.len();
            if self.ended || seen >= HEAD {
                return Ok(&self.decoded);
            }
            self.fill()?;
        }
    }

    /// Allows so many bytes to be read before the next call of this.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.allowance = bytes;
    }

    /// Reads some more of the file and decodes it.
    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = std::mem::take(&mut self.pending);
        let read = self
            .rest
            .by_ref()
            .take(CHUNK as u64)
            .read_to_end(&mut chunk)?;
        self.ended = read == 0;
        match self.encoding {
            Encoding::Utf8 => self.decoded.append(&mut chunk),
            Encoding::Utf16(unit) => self.decode(&chunk, unit),
        }
        Ok(())
    }

    /// Decodes UTF-16. What is no character becomes a byte that is none in UTF-8 either, so that the row it stands in is named.
    fn decode(&mut self, chunk: &[u8], unit: fn([u8; 2]) -> u16) {
        let (pairs, odd) = chunk.as_chunks::<2>();
        let mut units: Vec<u16> = pairs.iter().copied().map(unit).collect();
        let mut kept = odd.to_vec();
        if !self.ended
            && let Some(0xD800..=0xDBFF) = units.last()
            && let Some(pair) = pairs.last()
        {
            // The other half of the character is in the next chunk.
            units.pop();
            kept = pair.iter().chain(odd).copied().collect();
        }
        for decoded in char::decode_utf16(units) {
            match decoded {
                Ok(char) => self
                    .decoded
                    .extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(_) => self.decoded.push(0xFF),
            }
        }
        if self.ended && !kept.is_empty() {
            self.decoded.push(0xFF);
        } else {
            self.pending = kept;
        }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.allowance == 0 && !buffer.is_empty() {
            return Err(io::Error::other(TooLong));
        }
        while self.at == self.decoded.len() && !self.ended {
            self.decoded.clear();
            self.at = 0;
            self.fill()?;
        }
        let rest = self.decoded.get(self.at..).unwrap_or_default();
        let length = rest.len().min(buffer.len()).min(self.allowance);
        for (to, from) in buffer.iter_mut().zip(rest.iter().take(length)) {
            *to = *from;
        }
        self.at += length;
        self.allowance -= length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a slow pipe does.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = 1.min(buffer.len());
            self.0.read(&mut buffer[..length])
        }
    }

    fn all(bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut source = Source::open(Drip(bytes)).unwrap();
        source.head().unwrap();
        source.read_to_end(&mut text).unwrap();
        text
    }

    fn utf16(text: &str, mark: bool, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let mark = mark.then_some(0xFEFF);
        mark.into_iter()
            .chain(text.encode_utf16())
            .flat_map(bytes)
            .collect()
    }

    #[test]
    fn every_encoding_becomes_utf_8() {
        let text = "Zoë\n𝄞 music";
        assert_eq!(all(text.as_bytes()), text.as_bytes());
        assert_eq!(all(format!("\u{feff}{text}").as_bytes()), text.as_bytes());
        assert_eq!(all(&utf16(text, true, u16::to_le_bytes)), text.as_bytes());
        assert_eq!(all(&utf16(text, true, u16::to_be_bytes)), text.as_bytes());
        for short in ["", "a", "ab"] {
            assert_eq!(all(short.as_bytes()), short.as_bytes());
        }
        // Half a character, and half a unit.
        assert_eq!(all(b"\xFF\xFE\x00\xD8a\x00"), b"\xFFa");
        assert_eq!(all(b"\xFF\xFEa\x00b"), b"a\xFF");
    }

    #[test]
    fn a_surrogate_pair_is_not_torn_between_chunks() {
        let text = format!("{}𝄞", "x".repeat(CHUNK / 2 - 1));
        let bytes = utf16(&text, true, u16::to_le_bytes);
        let mut read = Vec::new();
        let mut source = Source::open(bytes.as_slice()).unwrap();
        source.read_to_end(&mut read).unwrap();
        assert_eq!(read, text.as_bytes());
    }

    #[test]
    fn the_head_is_the_first_line_and_is_read_again() {
        for (text, head) in [
            ("a,b\nc", "a,b"),
            ("a,b", "a,b"),
            ("\"a\nb\",c\r\nd", "\"a\nb\",c\r"),
            ("\n\na\nb", "\n\na"),
        ] {
            let mut source = Source::open(text.as_bytes()).unwrap();
            assert_eq!(source.head().unwrap(), head.as_bytes());
            let mut read = String::new();
            source.read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
        let endless = io::repeat(b'x');
        let mut source = Source::open(endless).unwrap();
        assert!(source.head().unwrap().len() < HEAD + CHUNK + 1);
    }

    #[test]
    fn no_more_is_read_than_allowed() {
        let mut source = Source::open(io::repeat(b'x')).unwrap();
        source.allow(10);
        let mut read = [0; 100];
        assert_eq!(source.read(&mut read).unwrap(), 3);
        assert_eq!(source.read(&mut read).unwrap(), 7);
        assert!(source.read(&mut read).is_err());
        source.allow(1);
        assert_eq!(source.read(&mut read).unwrap(), 1);
    }
}
