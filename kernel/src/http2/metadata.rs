//! Headers of gRPC over HTTP/2, in both directions.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue, CONTENT_TYPE};

use super::events::Metadata;
use super::framing::{Code, Encoding, Refusal};

pub const CONTENT: HeaderValue = HeaderValue::from_static("application/grpc");
pub const ENCODINGS: HeaderValue = HeaderValue::from_static("identity, gzip");
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");
pub const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Of a caller's metadata that is kept for as long as its call lasts.
const KEPT_BYTES_MAX: usize = 1 << 10;

/// Returns the metadata that fits what is kept; the rest is left out.
pub fn few(metadata: Metadata) -> Metadata {
    let mut size = 0;
    let mut kept = Vec::new();
    for (name, value) in metadata {
        size += name.len() + value.len();
        if size > KEPT_BYTES_MAX {
            break;
        }
        kept.push((name, value));
    }
    kept
}

/// Returns the headers that are not the transport's own; those that are no text are left out.
pub fn custom(headers: &HeaderMap) -> Metadata {
    headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            !name.starts_with("grpc-") && !matches!(name, "content-type" | "te" | "user-agent")
        })
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.into())))
        .collect()
}

/// Adds headers of the interpreter; those that HTTP does not allow are left out.
pub fn add(headers: &mut HeaderMap, metadata: &Metadata) {
    for (name, value) in metadata {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            headers.append(name, value);
        }
    }
}

/// Returns the end of a call as trailers.
pub fn trailers(code: u8, text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(STATUS, HeaderValue::from(u16::from(code)));
    if !text.is_empty() {
        if let Ok(value) = HeaderValue::from_str(&escaped(text)) {
            headers.insert(MESSAGE, value);
        }
    }
    headers
}

/// Returns code and text that trailers say; none if they say nothing of it.
pub fn status(headers: &HeaderMap) -> Option<(u8, String)> {
    let code = headers.get(STATUS)?.to_str().ok()?.parse().ok()?;
    let text = headers
        .get(MESSAGE)
        .map_or_else(String::new, |value| unescaped(value.as_bytes()));
    Some((code, text))
}

/// Returns how the other end may be answered.
pub fn accepted(headers: &HeaderMap, is_compressing: bool) -> Encoding {
    let is_gzip_known = headers
        .get(ACCEPTED)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|names| names.split(',').any(|name| name.trim() == "gzip"));
    if is_compressing && is_gzip_known {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

/// Whether the content is gRPC's.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Reads `grpc-timeout`: up to eight digits and a unit.
pub fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.get(TIMEOUT) else {
        return Ok(None);
    };
    let parse = |text: &str| {
        let unit = text.get(text.len().checked_sub(1)?..)?;
        let digits = &text[..text.len() - unit.len()];
        if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|one| one.is_ascii_digit())
        {
            return None;
        }
        let count: u64 = digits.parse().ok()?;
        Some(match unit {
            "H" => Duration::from_secs(count * 3600),
            "M" => Duration::from_secs(count * 60),
            "S" => Duration::from_secs(count),
            "m" => Duration::from_millis(count),
            "u" => Duration::from_micros(count),
            "n" => Duration::from_nanos(count),
            _ => return None,
        })
    };
    match value.to_str().ok().and_then(parse) {
        Some(timeout) => Ok(Some(timeout)),
        None => Err(Refusal::new(
            Code::Internal,
            "the header grpc-timeout is malformed",
        )),
    }
}

/// Returns a time limit as `grpc-timeout` says it.
pub fn timeout_text(timeout: Duration) -> String {
    let milliseconds = timeout.as_millis().max(1);
    if milliseconds < 100_000_000 {
        format!("{milliseconds}m")
    } else {
        format!("{}S", timeout.as_secs().min(99_999_999))
    }
}

/// Escapes a text as `grpc-message` wants it: percent signs before what is not printable ASCII.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unescaped(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if first == b'%' => {
                out.push(byte);
                rest = &behind[2..];
            }
            _ => {
                out.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for text in ["", "plain", "100 %", "Grüße\n", "%zz"] {
            let trailers = trailers(5, text);
            assert_eq!(status(&trailers), Some((5, text.to_owned())));
        }
        assert_eq!(unescaped(b"a%4"), "a%4");
    }

    #[test]
    fn little_metadata_is_kept() {
        let entry = |size: usize| ("x".to_owned(), "y".repeat(size));
        assert_eq!(few(vec![entry(1023)]).len(), 1);
        assert_eq!(few(vec![entry(1), entry(1022)]).len(), 1);
        assert_eq!(few(vec![entry(1), entry(1020), entry(0)]).len(), 3);
        assert_eq!(few(vec![entry(1), entry(1020), entry(1)]).len(), 2);
    }

    #[test]
    fn timeouts_are_read() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT, HeaderValue::from_static(text));
            timeout(&headers)
        };
        assert_eq!(read("250m"), Ok(Some(Duration::from_millis(250))));
        assert_eq!(read("3S"), Ok(Some(Duration::from_secs(3))));
        assert_eq!(
            read("99999999H"),
            Ok(Some(Duration::from_secs(99_999_999 * 3600)))
        );
        for malformed in ["", "S", "1", "123456789S", "-1S", "1x"] {
            assert!(read(malformed).is_err(), "{malformed}");
        }
        assert_eq!(timeout_text(Duration::from_secs(30)), "30000m");
    }
}
