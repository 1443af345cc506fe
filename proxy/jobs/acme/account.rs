//! Our account with the CA: made once, kept in the folder, and told of a changed address.
//!
//! A CA that no longer knows it gets another one: certificates do not depend on it.

use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde_json::{Value, json};

use super::folder::{self, Folder};
use super::http::Client;
use super::order::Failure;
use crate::config::checked::Acme;

/// The account in the folder, or a new one.
///
/// # Errors
/// When the CA does not give one, or a changed address cannot be kept.
pub async fn account(acme: &Acme, folder: &Folder, client: &Client) -> Result<Account, Failure> {
    let contacts: Vec<String> = acme.emails.iter().map(|e| format!("mailto:{e}")).collect();
    let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
    let builder = || Account::builder_with_http(Box::new(client.clone()));
    if let Some((credentials, told)) = kept(folder) {
        let known = credentials_to_value(&credentials);
        let account = builder().from_credentials(credentials).await?;
        if told != json!(contacts) {
            account.update_contacts(&contacts).await?;
            keep(folder, &known, &contacts)?;
        }
        return Ok(account);
    }
    let new = NewAccount {
        contact: &contacts,
        terms_of_service_agreed: true, // `agree: true` was checked with the file
        only_return_existing: false,
    };
    let binding = acme.eab.as_ref();
    let binding = binding.map(|eab| ExternalAccountKey::new(eab.kid.clone(), eab.key.key.bytes()));
    let (account, credentials) = builder()
        .create(&new, acme.directory.clone(), binding.as_ref())
        .await?;
    // The CA has made it: this order goes on with it, and the next one needs another.
    if let Err(failure) = keep(folder, &credentials_to_value(&credentials), &contacts) {
        tracing::error!(
            "acme: the account is new and used, and is lost after that: {}",
            failure.words
        );
    }
    tracing::info!("acme: account {} with {}", account.id(), acme.directory);
    Ok(account)
}

/// The CA does not know it any more.
pub fn forget(folder: &Folder) {
    if let Err(why) = std::fs::remove_file(folder.account()) {
        tracing::warn!("acme: cannot remove {}: {why}", folder.account().display());
    }
}

/// What is kept of an account, and the addresses that the CA was told.
fn kept(folder: &Folder) -> Option<(AccountCredentials, Value)> {
    let path = folder.account();
    let damaged = |why: &dyn std::fmt::Display| {
        tracing::warn!(
            "acme: {} cannot be used ({why}): another account is made",
            path.display()
        );
    };
    let text = folder::read(&path).map_err(|e| damaged(&e)).ok()??;
    let mut value: Value = serde_json::from_str(&text).map_err(|e| damaged(&e)).ok()?;
    let told = value["contacts"].take();
    // By its text: the crate reads the key as borrowed.
    let credentials = value["credentials"].take().to_string();
    let credentials = serde_json::from_str(&credentials);
    Some((credentials.map_err(|e| damaged(&e)).ok()?, told))
}

fn credentials_to_value(credentials: &AccountCredentials) -> Value {
    serde_json::to_value(credentials).unwrap_or_default()
}

fn keep(folder: &Folder, credentials: &Value, contacts: &[&str]) -> Result<(), Failure> {
    let path = folder.account();
    let text = json!({ "credentials": credentials, "contacts": contacts }).to_string();
    let written = folder.make().and_then(|()| folder::write(&path, &text));
    written.map_err(|e| Failure::of_folder(&path, &e))
}
