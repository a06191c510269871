//! The little of the protobuf encoding that messages need: fields in order, and varints.

/// Appends fields to bytes.
pub trait Put {
    fn varint(&mut self, value: u64);
    fn bytes_field(&mut self, number: u32, content: &[u8]);
    fn text_field(&mut self, number: u32, content: &[u8]);
    fn varint_field(&mut self, number: u32, value: u64);
    fn packed_field(&mut self, number: u32, values: &[u64]);
}

impl Put for Vec<u8> {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    /// Always, also where the content is empty: elements of repeated fields, and messages.
    fn bytes_field(&mut self, number: u32, content: &[u8]) {
        self.varint(u64::from(number << 3 | 2));
        self.varint(content.len() as u64);
        self.extend_from_slice(content);
    }

    /// Unless it is empty, as proto3 has it.
    fn text_field(&mut self, number: u32, content: &[u8]) {
        if !content.is_empty() {
            self.bytes_field(number, content);
        }
    }

    /// Unless it is zero, as proto3 has it.
    fn varint_field(&mut self, number: u32, value: u64) {
        if value != 0 {
            self.varint(u64::from(number << 3));
            self.varint(value);
        }
    }

    /// Unless there are none.
    fn packed_field(&mut self, number: u32, values: &[u64]) {
        if values.is_empty() {
            return;
        }
        self.varint(u64::from(number << 3 | 2));
        self.varint(values.iter().map(|value| varint_bytes(*value) as u64).sum());
        for value in values {
            self.varint(*value);
        }
    }
}

/// Returns how many bytes a varint has.
pub fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// One field as it stands on the wire.
#[derive(Debug, PartialEq, Eq)]
pub enum Field<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Of a fixed size: no message of ours has one.
    Other,
}

/// Walks over the fields of a message; none where the bytes are no message.
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn of(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// Bytes that have not been walked over.
    pub fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                return None;
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, size: u64) -> Option<&'a [u8]> {
        let size = usize::try_from(size).ok()?;
        let taken = self.rest.get(..size)?;
        self.rest = &self.rest[size..];
        Some(taken)
    }

    /// Returns the next field with its number; `Some(None)` at the end, `None` where it is malformed.
    pub fn next_field(&mut self) -> Option<Option<(u64, Field<'a>)>> {
        if self.rest.is_empty() {
            return Some(None);
        }
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 || number >= 1 << 29 {
            return None;
        }
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Other
            }
            2 => {
                let size = self.varint()?;
                Field::Bytes(self.take(size)?)
            }
            5 => {
                self.take(4)?;
                Field::Other
            }
            _ => return None,
        };
        Some(Some((number, field)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back() {
        let mut out = Vec::new();
        out.bytes_field(1, b"abc");
        out.varint_field(2, 300);
        out.varint_field(3, 0);
        out.packed_field(4, &[1, 300, u64::MAX]);
        assert_eq!(out[..7], [10, 3, b'a', b'b', b'c', 16, 0xac]);
        let mut fields = Fields::of(&out);
        assert_eq!(fields.next_field(), Some(Some((1, Field::Bytes(b"abc")))));
        assert_eq!(fields.next_field(), Some(Some((2, Field::Varint(300)))));
        let Some(Some((4, Field::Bytes(packed)))) = fields.next_field() else {
            panic!("no packed field");
        };
        assert_eq!(packed.len(), 1 + 2 + 10);
        assert_eq!(fields.next_field(), Some(None));
    }

    #[test]
    fn sizes_of_varints_are_right() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1] {
                let mut out = Vec::new();
                out.varint(value);
                assert_eq!(out.len(), varint_bytes(value), "{value}");
                assert_eq!(Fields::of(&out).varint(), Some(value));
            }
        }
    }

    #[test]
    fn malformed_bytes_are_no_fields() {
        for bytes in [&[10, 5, 1][..], &[8], &[0], &[0xff; 11], &[11], &[9, 1]] {
            assert_eq!(Fields::of(bytes).next_field(), None, "{bytes:?}");
        }
    }
}
