//! What happens to forms.

use super::*;

/// A form that is being made of the answer of this fetch. What it is made of is read to the end at once, as far as it
/// has come.
pub(super) struct Makes {
    pub(super) maker: Maker,
    source: Option<Reader>,
    id: u64,
    written: usize,
}

impl World {
    pub(super) fn put_form(&mut self, path: u8, coding: Coding, size: usize, is_final: bool) {
        let Some(entry) = self.find(path, 0) else {
            return;
        };
        let id = entry.life.received;
        let body = bytes(id, coding, 0, size);
        if let Some(new) = self.store.put_form(&entry, coding, &[body], is_final) {
            assert!(new.body.is_same(&entry.body) && new.expired_at() == entry.expired_at());
            assert!(
                new.form(coding)
                    .is_some_and(|form| form.is_final || !is_final)
            );
        }
    }

    /// At most one at a time makes it, but for those that nobody can follow any more.
    pub(super) fn derive(&mut self, path: u8, coding: Coding) {
        let Some(entry) = self.find(path, 0) else {
            return;
        };
        let id = entry.life.received;
        match self.store.derive(&entry, coding) {
            DerivingStored::Lead(maker) => self.makes(maker, None, id),
            DerivingStored::Follow(reader) => self.reads(reader, id, coding),
            DerivingStored::Ready(entry) => assert!(entry.form(coding).is_some()),
        }
    }

    pub(super) fn derive_from(&mut self, n: u8, coding: Coding) {
        let is_new = |reads: &Reads| reads.at == 0 && reads.coding == IDENTITY;
        let new: Vec<usize> = (0..self.readers.len())
            .filter(|n| is_new(&self.readers[*n]))
            .collect();
        let Some(at) = usize::from(n).checked_rem(new.len()) else {
            return;
        };
        let Reads { reader, id, .. } = self.readers.swap_remove(new[at]);
        match reader.derive(coding) {
            Deriving::Lead(maker, source) => self.makes(maker, Some(source), id),
            Deriving::Follow(reader) => self.reads(reader, id, coding),
            Deriving::Ready(entry) => assert!(entry.form(coding).is_some()),
        }
    }

    fn makes(&mut self, maker: Maker, source: Option<Reader>, id: u64) {
        self.reads(maker.reader(), id, maker.coding());
        let written = 0;
        self.makings.push(Makes {
            maker,
            source,
            id,
            written,
        });
    }

    pub(super) fn write_form(&mut self, n: u8, size: usize) {
        let Some(at) = usize::from(n).checked_rem(self.makings.len()) else {
            return;
        };
        let makes = &mut self.makings[at];
        while let Some(Ok(Some(_))) = makes.source.as_mut().and_then(|source| now(source.next())) {}
        let piece = bytes(makes.id, makes.maker.coding(), makes.written, size);
        if now(makes.maker.write(piece)).is_some() {
            makes.written += size;
        }
    }

    pub(super) fn finish_form(&mut self, n: u8) {
        let Some(at) = usize::from(n).checked_rem(self.makings.len()) else {
            return;
        };
        let Makes {
            maker,
            source,
            id,
            written,
        } = self.makings.swap_remove(at);
        let (coding, mut own) = (maker.coding(), source);
        let ended = own.as_mut().map(|source| {
            now(async {
                while source.next().await?.is_some() {}
                Ok::<_, Why>(())
            })
        });
        let entry = maker.finish(false);
        assert!(
            entry.is_none() || matches!(ended, None | Some(Some(Ok(())))),
            "it was whole"
        );
        if let Some(entry) = entry {
            self.check(&entry, self.of[&id].clone());
            let form = entry.form(coding).unwrap();
            let length = form.body.as_ref().map(|body| body.len());
            assert!(form.is_final || length.is_none_or(|length| length <= written as u64));
        }
    }
}
