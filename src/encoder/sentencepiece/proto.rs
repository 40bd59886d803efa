//! Reading a SentencePiece model file: the few fields of its protocol buffer that decide how
//! texts are cut (`sentencepiece_model.proto`; wire format: protobuf.dev/programming-guides/encoding).

/// A piece of the vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub text: String,
    pub score: f32,
    pub kind: u64,
}

/// An ordinary piece.
pub(super) const NORMAL: u64 = 1;
/// A piece that only programs write, such as `[CLS]`.
pub(super) const CONTROL: u64 = 3;
/// A piece that is never cut.
pub(super) const USER_DEFINED: u64 = 4;

/// The model type of a unigram language model (Kudo 2018).
pub(super) const UNIGRAM: u64 = 1;

/// What a model file says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SentencePieceModel {
    pub pieces: Vec<Piece>,
    pub model_type: u64,
    pub byte_fallback: bool,
    pub unk_id: u64,
    /// The compiled table of the normaliser; empty for none.
    pub charsmap: Vec<u8>,
    pub add_dummy_prefix: bool,
    pub remove_extra_whitespaces: bool,
}

/// A field of a message.
enum Field<'a> {
    Number(u64),
    Bits32(u32),
    Bytes(&'a [u8]),
}

struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    /// The next field and its number; `None` if the message is damaged.
    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Bits32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((key >> 3, field))
    }

    /// Calls `each` for every field; `None` if the message is damaged.
    fn read(bytes: &'a [u8], mut each: impl FnMut(u64, Field<'a>) -> Option<()>) -> Option<()> {
        let mut message = Self(bytes);
        while !message.0.is_empty() {
            let (number, field) = message.field()?;
            each(number, field)?;
        }
        Some(())
    }
}

impl SentencePieceModel {
    /// Reads a model file; `None` if it is none, or damaged.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut model = Self {
            pieces: Vec::new(),
            model_type: UNIGRAM,
            byte_fallback: false,
            unk_id: 0,
            charsmap: Vec::new(),
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
        };
        Message::read(bytes, |number, field| {
            match (number, field) {
                (1, Field::Bytes(piece)) => model.pieces.push(Self::piece(piece)?),
                (2, Field::Bytes(trainer)) => Message::read(trainer, |number, field| {
                    match (number, field) {
                        (3, Field::Number(value)) => model.model_type = value,
                        (35, Field::Number(value)) => model.byte_fallback = value != 0,
                        (40, Field::Number(value)) => model.unk_id = value,
                        _ => {}
                    }
                    Some(())
                })?,
                (3, Field::Bytes(normaliser)) => Message::read(normaliser, |number, field| {
                    match (number, field) {
                        (2, Field::Bytes(map)) => model.charsmap = map.to_vec(),
                        (3, Field::Number(value)) => model.add_dummy_prefix = value != 0,
                        (4, Field::Number(value)) => model.remove_extra_whitespaces = value != 0,
                        _ => {}
                    }
                    Some(())
                })?,
                _ => {}
            }
            Some(())
        })?;
        let known = usize::try_from(model.unk_id).is_ok_and(|id| id < model.pieces.len());
        known.then_some(model)
    }

    fn piece(bytes: &[u8]) -> Option<Piece> {
        let mut piece = Piece { text: String::new(), score: 0.0, kind: NORMAL };
        Message::read(bytes, |number, field| {
            match (number, field) {
                (1, Field::Bytes(text)) => piece.text = String::from_utf8(text.to_vec()).ok()?,
                (2, Field::Bits32(bits)) => piece.score = f32::from_bits(bits),
                (3, Field::Number(kind)) => piece.kind = kind,
                _ => {}
            }
            Some(())
        })?;
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `[UNK]` and `a` (score -1.5), byte fallback, no dummy prefix.
    const SMALL: &[u8] = b"\x0a\x09\x0a\x05[UNK]\x18\x02\x0a\x08\x0a\x01a\x15\0\0\xc0\xbf\
        \x12\x03\x98\x02\x01\x1a\x02\x18\x00";

    #[test]
    fn the_fields_are_read() {
        let model = SentencePieceModel::parse(SMALL).unwrap();
        let texts: Vec<&str> = model.pieces.iter().map(|p| p.text.as_str()).collect();
        assert_eq!(texts, ["[UNK]", "a"]);
        assert_eq!((model.pieces[0].kind, model.pieces[1].kind), (2, NORMAL));
        assert_eq!(model.pieces[1].score, -1.5);
        assert!(model.byte_fallback && !model.add_dummy_prefix && model.remove_extra_whitespaces);
    }

    proptest! {
        #[test]
        fn damage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = SentencePieceModel::parse(&bytes);
        }

        #[test]
        fn cut_files_never_panic(end in 0..SMALL.len(), at in 0..SMALL.len(), byte: u8) {
            let mut bytes = SMALL.to_vec();
            bytes[at] = byte;
            let _ = SentencePieceModel::parse(&bytes[..end]);
        }
    }
}
