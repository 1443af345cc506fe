//! Numbers and texts in a value. Reading gives up at the first that is not whole, and copies nothing.

/// What is left to read.
#[derive(Debug)]
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    /// The next so many bytes.
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// Bytes behind their length.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.take(4)?.try_into().ok()?);
        self.take(length as usize)
    }

    /// The same, or that there are none.
    pub(super) fn maybe(&mut self) -> Option<Option<&'a [u8]>> {
        match self.byte()? {
            0 => Some(None),
            1 => self.text().map(Some),
            _ => None,
        }
    }
}

/// Puts bytes behind their length. `None`: they are too long for it.
pub(super) fn put_text(to: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    to.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
    to.extend_from_slice(text);
    Some(())
}

/// The same, or that there are none.
pub(super) fn put_maybe(to: &mut Vec<u8>, text: Option<&[u8]>) -> Option<()> {
    to.push(text.is_some().into());
    text.map_or(Some(()), |text| put_text(to, text))
}
