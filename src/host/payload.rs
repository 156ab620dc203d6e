//! Classifies data that a client sent: a part of request headers, or of a request body.

/// Kind of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The start of an HTTP request whose headers are incomplete, or further header lines.
    Headers,
    /// Other data that is long enough to classify.
    Body,
    /// TLS records, whose contents are unknown.
    Encrypted,
    /// Too short to classify, or a complete request.
    Unclear,
}

/// Shorter data cannot be classified: a client that sends a header byte by byte looks like one that
/// sends a body.
const SHORTEST: usize = 3;
/// The end of the headers.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// Classifies the payload of one segment, which may be truncated.
pub fn look(data: &[u8]) -> Piece {
    if is_tls(data) {
        Piece::Encrypted
    } else if begins_request(data) {
        match data.windows(BLANK_LINE.len()).any(|w| w == BLANK_LINE) {
            true => Piece::Unclear,
            false => Piece::Headers,
        }
    } else if data == b"\r\n" || is_header_lines(data) {
        Piece::Headers
    } else if data.len() < SHORTEST {
        Piece::Unclear
    } else {
        Piece::Body
    }
}

/// Checks the record type, and the version that TLS 1.0 to 1.3 send.
fn is_tls(data: &[u8]) -> bool {
    matches!(data, [0x14..=0x17, 0x03, 0x00..=0x04, ..])
}

/// Checks for a prefix of `METHOD SP target SP HTTP/1.x`.
fn begins_request(data: &[u8]) -> bool {
    let line = data.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let method = words.next().unwrap_or_default();
    let is_method = (3..=16).contains(&method.len()) && method.iter().all(u8::is_ascii_uppercase);
    let target = words.next().unwrap_or_default();
    is_method && matches!(target.first(), Some(b'/' | b'*' | b'h'))
}

/// Checks for one or more complete `Name: value` lines.
fn is_header_lines(data: &[u8]) -> bool {
    let Some(lines) = data.strip_suffix(b"\n") else {
        return false;
    };
    lines.split(|b| *b == b'\n').all(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|b| *b == b':').unwrap_or(0);
        let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
        // An empty line ends the headers; the rest is a body.
        colon > 0 && line[..colon].iter().all(is_token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_told_apart() {
        let table: [(&[u8], Piece); 19] = [
            (b"GET / HTTP/1.1\r\nHost: a\r\n", Piece::Headers),
            (
                b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n",
                Piece::Headers,
            ),
            (b"GET /a", Piece::Headers),
            (b"OPTIONS * HTTP/1.1\r\n", Piece::Headers),
            (b"X-hq: 8Zb1\r\n", Piece::Headers),
            (b"X-a: b\r\nX-c: http://d\r\n", Piece::Headers),
            (b"X-a: b\n", Piece::Headers),
            (b"\r\n", Piece::Headers),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Piece::Unclear),
            (b"&hq=8Zb1", Piece::Body),
            (b"a=b&c=d\r\n", Piece::Body),
            (b"GET THE BODY", Piece::Body),
            (b"two words: x\r\n", Piece::Body),
            (b"X-a: b\r\n\r\nbody\r\n", Piece::Body),
            (b"\x00\x01\x02\xff", Piece::Body),
            (b"\x16\x03\x01\x02\x00", Piece::Encrypted),
            (b"\x17\x03\x03\x00\x13", Piece::Encrypted),
            (b"a", Piece::Unclear),
            (b"", Piece::Unclear),
        ];
        for (data, piece) in table {
            assert_eq!(look(data), piece, "{}", data.escape_ascii());
        }
    }
}
