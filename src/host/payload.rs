//! Classifies data that a client sent: a part of request headers, or of a request body.

/// Kind of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The start of an HTTP request whose headers are incomplete, or further header lines.
    Headers,
    /// Whole messages of WebSocket, HTTP/2 or MQTT: nothing is missing.
    Messages,
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
    } else if is_messages(data) {
        Piece::Messages
    } else {
        Piece::Body
    }
}

/// Returns the length of the message at the start of the data, in bytes.
type Length = fn(&[u8]) -> Option<usize>;

/// Checks whether the data consists of whole messages of one of the protocols.
fn is_messages(data: &[u8]) -> bool {
    const LENGTHS: [Length; 3] = [websocket, http2, mqtt];
    LENGTHS.iter().any(|length| {
        let mut rest = data;
        while let Some(after) = length(rest).and_then(|length| rest.get(length..)) {
            rest = after;
        }
        rest.is_empty()
    })
}

/// Length of a frame of WebSocket: those of clients are masked.
fn websocket(data: &[u8]) -> Option<usize> {
    const MASK: usize = 4;
    let (first, second) = (*data.first()?, *data.get(1)?);
    // One extension may use the first of the reserved bits: compression.
    let is_known = first & 0x30 == 0 && matches!(first & 0x0f, 0..=2 | 8..=10);
    let header = match (is_known && second & 0x80 != 0, second & 0x7f) {
        (false, _) | (true, 127) => return None,
        (true, 126) => 4 + usize::from(*data.get(2)?) * 256 + usize::from(*data.get(3)?),
        (true, length) => 2 + usize::from(length),
    };
    Some(header + MASK)
}

/// Length of a frame of HTTP/2.
fn http2(data: &[u8]) -> Option<usize> {
    const HEADER: usize = 9;
    let &[high, middle, low, kind, _, stream, ..] = data.get(..HEADER)? else {
        return None;
    };
    let length = u32::from_be_bytes([0, high, middle, low]);
    let is_known = kind <= 9 && stream & 0x80 == 0;
    is_known.then_some(HEADER + length as usize)
}

/// Length of a packet of MQTT: its kind, and up to four bytes of seven bits of the length of the
/// rest, the lowest first.
fn mqtt(data: &[u8]) -> Option<usize> {
    const LONGEST: usize = 4;
    let first = *data.first()?;
    let is_known = match (first >> 4, first & 0x0f) {
        // A publication.
        (3, _) => true,
        (6 | 8 | 10, flags) => flags == 2,
        (kind, flags) => (1..=14).contains(&kind) && flags == 0,
    };
    let rest = data.get(1..).filter(|_| is_known)?;
    let last = rest.iter().take(LONGEST).position(|b| b & 0x80 == 0)?;
    let bits = |(at, byte): (usize, &u8)| usize::from(byte & 0x7f) << (7 * at);
    let length: usize = rest[..=last].iter().enumerate().map(bits).sum();
    Some(1 + last + 1 + length)
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
        let table: [(&[u8], Piece); 26] = [
            (b"\x81\x83abcdXYZ", Piece::Messages),
            (b"\x89\x80abcd\xc1\x81abcdX", Piece::Messages),
            (b"\x81\x84abcdXYZ", Piece::Body),
            (b"\x81\x03XYZ", Piece::Body),
            (
                b"\0\0\x02\0\x01\0\0\0\x03hi\0\0\0\x01\x05\0\0\0\x03",
                Piece::Messages,
            ),
            (b"\x30\x0c\x00\x06a/temp21.5", Piece::Messages),
            (b"\x30\x0c\x00\x06a/temp21.", Piece::Body),
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
