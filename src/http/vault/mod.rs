//! Vault and OpenBao: the sessions that machines share, as records of the secrets engine KV, version 2.
//! <https://openbao.org/api-docs/secret/kv/kv-v2/>, the same at Vault.

mod check;
mod login;
mod oauthapp;
mod policy;
mod record;
mod server;

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::client::{Network, body, segment};
use super::error::ServiceError;
use super::shared::{SharedFailure, SharedStore, SharedStores};
use crate::error;
use crate::model::{
    FleetRole, Provider, Secret, SecretsEngine, SharedPart, SharedRecord, Snapshot, Timestamp,
    Vault,
};
use crate::sys::clock::Clock;
use record::Fields;
use server::{Call, Refusal, Repeated, Server};

pub use check::{Inspection, Mistake, inspect};
pub(super) use login::{Auth, login_path};
pub use policy::{Rule, rules};
pub(super) use server::headers;

/// The delay before a record is read again which a standby did not have yet. It lags by up to 0.1 s.
const LAG: Duration = Duration::from_millis(20);

/// Of a check-and-set that was refused, at Vault and at OpenBao.
const CONFLICT: &str = "check-and-set parameter did not match the current version";

pub struct VaultStores<'a> {
    network: Network<'a>,
    clock: &'a dyn Clock,
    /// The server that answered last.
    current: Cell<usize>,
}

impl<'a> VaultStores<'a> {
    pub fn new(network: Network<'a>, clock: &'a dyn Clock) -> Self {
        Self { network, clock, current: Cell::default() }
    }
}

impl SharedStores for VaultStores<'_> {
    fn open<'a>(
        &'a self,
        provider: &'a Provider,
        deadline: Instant,
    ) -> error::Result<Box<dyn SharedStore + 'a>> {
        let Self { network, clock, current } = self;
        Ok(Box::new(VaultStore::new(*network, *clock, provider, deadline, current)?))
    }
}

struct VaultStore<'a> {
    server: Server<'a>,
    settings: Vault,
    /// The token of the environment.
    given: Option<Secret>,
    token: RefCell<Option<Secret>>,
    /// The service that issues the sessions.
    service: String,
    provider: &'a Provider,
    role: FleetRole,
    /// The version of each part that the cluster has at least.
    written: [Cell<u64>; 2],
}

#[derive(Deserialize)]
struct Response<T> {
    data: Option<T>,
    auth: Option<Auth>,
}

#[derive(Deserialize)]
struct Stored {
    data: Option<Fields>,
    /// None: the engine is version 1.
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
    created_time: String,
}

impl<'a> VaultStore<'a> {
    fn new(
        network: Network<'a>,
        clock: &'a dyn Clock,
        provider: &'a Provider,
        deadline: Instant,
        current: &'a Cell<usize>,
    ) -> error::Result<Self> {
        let context = network.context;
        let configuration = context.configuration()?;
        let (settings, given) = context.vault()?;
        if settings.engine == SecretsEngine::OAuthApp {
            oauthapp::check_name(configuration, provider)?;
        }
        let service = match &provider.key.service {
            Some(service) => service.to_string(),
            None => context.configured_api_url(provider)?,
        };
        Ok(Self {
            server: Server::new(network, clock, deadline, &settings, current),
            settings,
            given,
            token: RefCell::default(),
            service,
            provider,
            role: provider.shared.as_ref().map_or(FleetRole::Simple, |shared| shared.role),
            written: Default::default(),
        })
    }

    /// The path of the record below the mount.
    fn record(&self, part: SharedPart) -> String {
        let Provider { name, account, .. } = self.provider;
        match self.settings.engine {
            SecretsEngine::Kv => {
                format!("{}/{}/{name}/{account}", self.settings.path, policy::folder(part))
            }
            SecretsEngine::OAuthApp => format!("creds/{}", oauthapp::name(name, account)),
        }
    }

    /// With the namespace before the path, as the server writes it itself.
    fn location_at(&self, part: SharedPart, address: &str) -> String {
        let Vault { namespace, mount, .. } = &self.settings;
        let path = namespace.iter().chain([mount]).map(|name| format!("{name}/"));
        format!("{}{} at {address}", path.collect::<String>(), self.record(part))
    }

    /// The path of the API to the data or the metadata of a record.
    fn path(&self, kind: &str, part: SharedPart) -> String {
        let record = self.record(part);
        let names = format!("{}/{kind}/{record}", self.settings.mount);
        let encoded: Vec<_> = names.split('/').map(segment).collect();
        format!("/v1/{}", encoded.join("/"))
    }

    /// Sends a request with this machine's token of the server. A rejected token is replaced once.
    fn call<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
    ) -> Result<(Response<T>, Option<Timestamp>), Refusal> {
        let (token, is_new) = self.token(None)?;
        match self.server.request(call, Some(&token)) {
            Err(Refusal::Decision(error)) if error.status == 403 && !is_new => {
                let (other, _) = self.token(Some(&token))?;
                if other == token {
                    return Err(Refusal::Decision(error));
                }
                self.server.request(call, Some(&other))
            }
            result => result,
        }
    }

    /// A token that the server issued to this machine, and whether that was now.
    fn token(&self, rejected: Option<&Secret>) -> Result<(Secret, bool), SharedFailure> {
        if rejected.is_none()
            && let Some(token) = &*self.token.borrow()
        {
            return Ok((token.clone(), false));
        }
        let (token, is_new) = login::token(self, rejected)?;
        *self.token.borrow_mut() = Some(token.clone());
        Ok((token, is_new))
    }

    /// Creates the record without contents: the server then refuses every write without check-and-set, and stores no old
    /// version. Where the policy does not allow it, somebody else does it, and `doctor` checks it.
    fn create(&self, part: SharedPart) -> Result<(), SharedFailure> {
        let body = Secret::new(json!({ "max_versions": 1, "cas_required": true }).to_string());
        let path = self.path("metadata", part);
        let call = Call::post(&path, &body);
        match self.call::<serde::de::IgnoredAny>(&call) {
            Ok(_) => Ok(()),
            Err(Refusal::Decision(error)) if error.status == 403 => Ok(()),
            Err(refusal) => Err(self.failure(refusal, part)),
        }
    }

    fn failure(&self, refusal: Refusal, part: SharedPart) -> SharedFailure {
        let location = self.location(part);
        let error = match refusal {
            Refusal::Failure(failure) => return failure,
            Refusal::Decision(error) => error,
        };
        let ServiceError { status, message, .. } = &error;
        match *status {
            400 if message.contains(CONFLICT) => SharedFailure::Refused,
            403 => {
                let rule = policy::rule(&self.settings, self.role, "data", part, None);
                SharedFailure::Denied(format!(
                    "permission denied: {location}; the policy of this machine needs `{rule}`"
                ))
            }
            404 => SharedFailure::Failed(format!(
                "{location}: {error}; check `mount` and `namespace` in [stores.vault]"
            )),
            _ => SharedFailure::Failed(format!("{location}: {error}")),
        }
    }

    fn not_version_2(&self) -> SharedFailure {
        let mount = &self.settings.mount;
        SharedFailure::Failed(format!("the secrets engine at {mount} is not KV version 2"))
    }

    fn read_once(&self, part: SharedPart) -> Result<Snapshot, SharedFailure> {
        if self.settings.engine == SecretsEngine::OAuthApp {
            return oauthapp::read(self);
        }
        let path = self.path("data", part);
        let call = Call::get(&path);
        let (response, date) =
            self.call::<Stored>(&call).map_err(|error| self.failure(error, part))?;
        let Some(Stored { data, metadata }) = response.data else {
            let now = date.unwrap_or_else(|| self.server.clock.now());
            return Ok(Snapshot { record: None, version: 0, created_at: now, server_time: now });
        };
        let Metadata { version, created_time } = metadata.ok_or_else(|| self.not_version_2())?;
        let invalid = |why: &str| SharedFailure::Failed(format!("{} {why}", self.location(part)));
        let created_at = Timestamp::parse(&created_time)
            .ok_or_else(|| invalid("has an invalid created_time"))?;
        let record = data.map(|fields| record::decode(fields, &self.service)).transpose();
        Ok(Snapshot {
            record: record.map_err(|why| invalid(&why))?,
            version,
            created_at,
            // Without a clock of the server, no time has passed.
            server_time: date.unwrap_or(created_at),
        })
    }
}

impl SharedStore for VaultStore<'_> {
    fn read(&self, part: SharedPart) -> Result<Snapshot, SharedFailure> {
        loop {
            let snapshot = self.read_once(part)?;
            if snapshot.version >= self.written[part as usize].get() {
                return Ok(snapshot);
            }
            self.server.skip();
            if !self.server.wait(LAG) {
                let location = self.location(part);
                let reason = format!("no server has the current version: {location}");
                return Err(SharedFailure::Unavailable(reason));
            }
        }
    }

    /// Does not wait: the caller counts the time from here.
    fn compare_and_set(
        &self,
        part: SharedPart,
        version: u64,
        record: &SharedRecord,
    ) -> Result<u64, SharedFailure> {
        if self.settings.engine == SecretsEngine::OAuthApp {
            let location = self.location(part);
            let message = format!("{location}: the server refreshes it; log in there");
            return Err(SharedFailure::Failed(message));
        }
        if version == 0 {
            self.create(part)?;
        }
        let fields = record::encode(record, part, &self.service);
        let exposed = fields.iter().map(|(name, value)| (&**name, value.expose_secret()));
        let data = body(exposed);
        let body = format!(r#"{{"options":{{"cas":{version}}},"data":{}}}"#, data.expose_secret());
        let body = Secret::new(body);
        let secrets: Vec<_> =
            fields.iter().filter(|(name, _)| name.ends_with("_token")).map(|(_, it)| it).collect();
        let path = self.path("data", part);
        let call =
            Call { secrets: &secrets, repeated: Repeated::Refused, ..Call::post(&path, &body) };
        let (response, _) =
            self.call::<Metadata>(&call).map_err(|refusal| self.failure(refusal, part))?;
        let written = response.data.ok_or_else(|| self.not_version_2())?.version;
        self.written[part as usize].set(written);
        Ok(written)
    }

    fn location(&self, part: SharedPart) -> String {
        self.location_at(part, self.server.address())
    }

    fn is_location(&self, part: SharedPart, text: &str) -> bool {
        self.server.addresses.iter().any(|address| text == self.location_at(part, address))
    }
}
