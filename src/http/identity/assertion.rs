//! The client assertion that this program signs itself (RFC 7523, 2.2, as RFC 10070 has changed it): `aud` is the issuer, as
//! it is configured; the type is explicit; it is valid for a minute and has an id of its own. The compact form (RFC 7515,
//! 7.1) is three parts in base64url; `jsonwebtoken` would need another crypto library than the one of `rustls`.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use crate::config::Context;
use crate::error::{Error, Result};
use crate::model::{Algorithm, LoginKind, Provider, Secret, SigningKey, Timestamp};

/// In seconds.
const LIFETIME: i64 = 60;

pub(super) fn sign(
    context: &Context,
    provider: &Provider,
    key: &SigningKey,
    now: Timestamp,
) -> Result<Secret> {
    let id = match &provider.login {
        LoginKind::OAuth(oauth) => oauth.client_id.as_deref(),
        _ => None,
    };
    let missing = || Error::invalid_state("no private key, or no `client_id`");
    let (Some(id), Some(identity), Some(pem)) =
        (id, &provider.identity, context.secret(&key.location)?)
    else {
        return Err(missing());
    };
    let mut header =
        json!({ "typ": "client-authentication+jwt", "alg": format!("{:?}", key.algorithm) });
    if let Some(id) = &key.id {
        header["kid"] = json!(id);
    }
    let claims = json!({
        "iss": id, "sub": id, "aud": identity.audience, "jti": uuid::Uuid::new_v4().to_string(),
        "iat": now.unix(), "exp": now.unix().saturating_add(LIFETIME),
    });
    let part = |value: &serde_json::Value| BASE64.encode(value.to_string());
    let message = format!("{}.{}", part(&header), part(&claims));
    let unusable = || {
        let algorithm = key.algorithm;
        Error::invalid(format!(
            "the private key of {} is not a key for {algorithm:?}",
            provider.name
        ))
        .with_hint("use an unencrypted key in PEM with the header `BEGIN PRIVATE KEY` (PKCS #8)")
    };
    let signature = signature(&pem, key.algorithm, message.as_bytes()).ok_or_else(unusable)?;
    Ok(Secret::new(format!("{message}.{}", BASE64.encode(signature))))
}

fn signature(pem: &Secret, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
    let key = PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes()).ok()?;
    let (key, random) = (key.secret_der(), SystemRandom::new());
    let rsa = |padding: &'static dyn ring::signature::RsaEncoding| {
        let pair = RsaKeyPair::from_pkcs8(key).or_else(|_| RsaKeyPair::from_der(key)).ok()?;
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(padding, &random, message, &mut signature).ok()?;
        Some(signature)
    };
    match algorithm {
        Algorithm::RS256 => rsa(&RSA_PKCS1_SHA256),
        Algorithm::PS256 => rsa(&RSA_PSS_SHA256),
        Algorithm::ES256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key, &random);
            Some(pair.ok()?.sign(&random, message).ok()?.as_ref().to_vec())
        }
        Algorithm::EdDSA => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).ok()?;
            Some(pair.sign(message).as_ref().to_vec())
        }
    }
}
