//! Enough of protobuf to compose requests and to find the payload in a delivery.

use crate::session::Failure;

pub fn put_varint(mut value: u64, output: &mut Vec<u8>) {
    while value >= 0x80 {
        output.push(value as u8 | 0x80);
        value >>= 7;
    }
    output.push(value as u8);
}

pub fn put_number(field: u32, value: u64, output: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3, output);
    put_varint(value, output);
}

pub fn put_bytes(field: u32, value: &[u8], output: &mut Vec<u8>) {
    put_head(field, value.len(), output);
    output.extend_from_slice(value);
}

/// What goes before bytes that the caller appends.
pub fn put_head(field: u32, size_bytes: usize, output: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3 | 2, output);
    put_varint(size_bytes as u64, output);
}

#[derive(Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, in the order of its bytes.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Failure> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let size_bytes = self.varint()?;
                Value::Bytes(self.take(size_bytes as usize)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return Err("a protobuf field of an unknown type".into()),
        };
        Ok(Some(((key >> 3) as u32, value)))
    }

    /// Returns the bytes of the first field of this number.
    pub fn find(mut self, number: u32) -> Result<Option<&'a [u8]>, Failure> {
        while let Some((field, value)) = self.next()? {
            if let (true, Value::Bytes(bytes)) = (field == number, value) {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    pub fn varint(&mut self) -> Result<u64, Failure> {
        let mut value = 0;
        for (index, byte) in self.0.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = &self.0[index + 1..];
                return Ok(value);
            }
        }
        Err("a truncated protobuf number".into())
    }

    fn take(&mut self, size_bytes: usize) -> Result<&'a [u8], Failure> {
        if size_bytes > self.0.len() {
            return Err("a truncated protobuf field".into());
        }
        let (taken, rest) = self.0.split_at(size_bytes);
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_composed_is_found() {
        let mut message = Vec::new();
        put_number(1, 300, &mut message);
        put_bytes(2, b"first", &mut message);
        put_bytes(20, &[7; 200], &mut message);
        assert_eq!(
            Fields(&message).next().unwrap(),
            Some((1, Value::Number(300)))
        );
        assert_eq!(Fields(&message).find(2).unwrap(), Some(&b"first"[..]));
        assert_eq!(Fields(&message).find(20).unwrap(), Some(&[7; 200][..]));
        assert_eq!(Fields(&message).find(3).unwrap(), None);
    }

    #[test]
    fn truncated_bytes_are_refused() {
        let mut message = Vec::new();
        put_bytes(2, b"first", &mut message);
        assert!(Fields(&message[..4]).find(2).is_err());
        assert!(Fields(&[0x80]).find(2).is_err());
    }
}
