//! Files that are read as they are: texts, keys, tokens.
//!
//! Read with the configuration, so that a change of one is a change of it. What a secret holds is told nowhere.

use std::path::Path;

use super::{Gather, MAKE_KEY, MAKE_TOKEN, TextFile};
use crate::config::checked::{KeyFile, Secret};
use crate::config::index::At;
use crate::config::schema::File;
use crate::config::schema::admin::{Admin, AdminKeys, Token};
use crate::config::schema::sticky::Sticky;
use crate::config::schema::upstream::Upstream;

impl Gather<'_> {
    /// A file that is named at `at`: read here, so that a change of it is a change of the configuration.
    pub(super) fn text_file(&mut self, file: &str, at: &At, base: &Path) -> Option<TextFile> {
        let path = base.join(file);
        match self.sources.read(&path, Some(&at.place())) {
            Ok(text) => Some(TextFile { path, text }),
            Err(problem) => {
                self.problems.push(*problem);
                None
            }
        }
    }

    /// The key that an upstream's cookies are signed with, of the file it names.
    pub(super) fn sticky_key(&mut self, keys: &Upstream, at: &At, base: &Path) -> Option<KeyFile> {
        let Some(Sticky::Keys(sticky)) = &keys.sticky else {
            return None;
        };
        let named = at.key("sticky").key("key_file");
        self.secret(sticky.key_file.as_ref()?, &named, base, MAKE_KEY)
    }

    /// The tokens of the stats port, of the files they are in.
    pub(super) fn admin_tokens(
        &mut self,
        file: &File,
        at: &At,
        base: &Path,
    ) -> Vec<Option<KeyFile>> {
        let Some(Admin::Keys(AdminKeys {
            tokens: Some(tokens),
            ..
        })) = &file.admin
        else {
            return Vec::new();
        };
        let mut one = |(i, token): (usize, &Option<Token>)| {
            let named = at.item(i).key("token_file");
            self.secret(
                token.as_ref()?.token_file.as_ref()?,
                &named,
                base,
                MAKE_TOKEN,
            )
        };
        tokens.iter().enumerate().map(&mut one).collect()
    }

    /// A file with a secret that is named at `at`; `make` says how to get one.
    pub(super) fn secret(
        &mut self,
        file: &str,
        at: &At,
        base: &Path,
        make: &str,
    ) -> Option<KeyFile> {
        let path = base.join(file);
        match self.sources.secret(&path, &at.place(), make) {
            Ok(bytes) => Some(KeyFile {
                path,
                key: Secret::new(bytes),
            }),
            Err(problem) => {
                self.problems.push(*problem);
                None
            }
        }
    }
}
