//! What a login can be confirmed with, and the mail that it goes into. Only its digests are kept.

use crate::extract::Device;
use crate::mail::LoginMail;
use crate::product::Product;
use crate::refusal::Refusal;
use crate::secret::{self, Digest};
use crate::service::Service;
use crate::settings::whole_seconds;
use crate::store::logins::Proofs;

/// A link's token and six digits.
pub(super) struct Confirmation {
    link: String,
    code: String,
}

impl Confirmation {
    pub(super) fn new() -> Result<Self, Refusal> {
        let link = secret::random_hex::<32>()?;
        let code = secret::random_code()?;
        Ok(Self { link, code })
    }

    pub(super) fn proofs(&self, device_code: &str) -> Proofs {
        Proofs { link: Digest::of(&self.link), code: Digest::of_code(device_code, &self.code) }
    }

    /// Whether the mail could be sent.
    pub(super) async fn send(
        self,
        service: &Service,
        to: &str,
        product: Product,
        device: &Device,
    ) -> Result<bool, Refusal> {
        let Self { link, code } = self;
        let now = service.now();
        let minutes = whole_seconds(service.settings.device_code_lifetime).div_euclid(60).max(1);
        let mail = LoginMail {
            link: format!("{}/v1/auth/verify?token={link}", service.public_url),
            code,
            minutes,
            product,
            device: device.clone(),
            asked_at: now,
        };
        service.mailer.send(to.to_owned(), &mail, now).await
    }
}
