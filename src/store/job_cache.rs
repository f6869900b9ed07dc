//! The token for the identity of a job, for the other processes of the same job. It is stored in a folder that is
//! deleted at the end of the job or of the user's login, never in the home directory or the keyring, and is encrypted
//! with a secret of the job, if the job has one. The name of the file is a hash of the settings and of that secret or
//! the identity, so that another job does not find the file.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD as BASE64, BASE64_URL_SAFE_NO_PAD as URL_SAFE};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::config::Context;
use crate::model::jwt::IdentityClaims;
use crate::model::{Secret, Session, Timestamp};
use crate::sys::atomic_file;

/// The folder of the job, which the runners of GitHub and Azure empty; else the folder of the user's login.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>,
/// <https://learn.microsoft.com/en-us/azure/devops/pipelines/build/variables>
const FOLDERS: [&str; 3] = ["RUNNER_TEMP", "AGENT_TEMPDIRECTORY", "XDG_RUNTIME_DIR"];

pub struct JobCache {
    path: PathBuf,
    /// `None` if the job has no secret: only the mode of the file protects the entry.
    key: Option<LessSafeKey>,
}

#[derive(Clone)]
pub struct Entry {
    pub session: Session,
    pub claims: IdentityClaims,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(serialize_with = "Secret::serialize")]
    token: Option<Secret>,
    expires_at: String,
    received_at: String,
    claims: IdentityClaims,
}

impl JobCache {
    /// `settings` and `owner` select the entry, and `secret` encrypts it. `None` if there is no folder for the job.
    pub fn new(
        context: &Context,
        settings: &str,
        owner: &Secret,
        secret: Option<&Secret>,
    ) -> Option<Self> {
        let folder = FOLDERS.iter().find_map(|name| context.environment.get(name))?;
        let folder = PathBuf::from(folder);
        let own = folder.join("my-credential-helper-identity");
        // Another user may have made the folder, or a link to another one.
        let is_usable = folder.is_absolute()
            && atomic_file::is_ours(&folder).ok()? == Some(true)
            && atomic_file::is_ours(&own).ok()? != Some(false);
        let name = digest(&["name", settings, owner.expose_secret()]);
        let name = URL_SAFE.encode(*name);
        let key = secret.map(|it| digest(&["key", settings, it.expose_secret()]));
        let key = match key {
            Some(key) => Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key).ok()?)),
            None => None,
        };
        is_usable.then(|| Self { path: own.join(name), key })
    }

    pub fn lock_path(&self) -> PathBuf {
        self.path.with_extension("lock")
    }

    /// An entry that cannot be read counts as missing.
    pub fn read(&self) -> Option<Entry> {
        let sealed = atomic_file::read_own(&self.path)?;
        let stored: Stored = serde_json::from_slice(&self.open(&sealed)?).ok()?;
        let expires_at = Timestamp::parse(&stored.expires_at)?;
        let received_at = Timestamp::parse(&stored.received_at)?;
        let session = Session::api_token(stored.token?, Some(expires_at), received_at);
        Some(Entry { session, claims: stored.claims })
    }

    /// If the entry cannot be written, the next process exchanges its own identity token.
    pub fn write(&self, Entry { session, claims }: &Entry) {
        let stored = Stored {
            token: Some(session.access_token.clone()),
            expires_at: session.expires_at.to_string(),
            received_at: session.received_at().to_string(),
            claims: claims.clone(),
        };
        let Ok(text) = serde_json::to_string(&stored) else { return };
        if let Some(sealed) = self.seal(Zeroizing::new(text.into_bytes())) {
            let _ = atomic_file::write_fleeting(&self.path, &sealed);
        }
    }

    pub fn remove(&self) -> bool {
        atomic_file::remove(&self.path).unwrap_or(false)
    }

    fn seal(&self, mut text: Zeroizing<Vec<u8>>) -> Option<Zeroizing<String>> {
        if let Some(key) = &self.key {
            let mut nonce = [0; NONCE_LEN];
            SystemRandom::new().fill(&mut nonce).ok()?;
            let unique = Nonce::assume_unique_for_key(nonce);
            key.seal_in_place_append_tag(unique, Aad::empty(), &mut *text).ok()?;
            text.splice(..0, nonce);
        }
        Some(Zeroizing::new(BASE64.encode(&*text)))
    }

    fn open(&self, sealed: &Secret) -> Option<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(BASE64.decode(sealed.expose_secret().trim()).ok()?);
        let Some(key) = &self.key else { return Some(bytes) };
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = key.open_in_place(nonce, Aad::empty(), sealed).ok()?;
        Some(Zeroizing::new(text.to_vec()))
    }
}

/// Each part with its length, so that no two lists of parts are the same text.
fn digest(parts: &[&str]) -> Zeroizing<[u8; 32]> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    Zeroizing::new(hash.finalize().into())
}
