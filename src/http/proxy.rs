//! The proxy: `HTTPS_PROXY` or `ALL_PROXY`, in upper or lower case, and `NO_PROXY`. `reqwest` reads them too, but a blank
//! variable hides the others there, and a value that is no URL counts as none.

use reqwest::{NoProxy, Proxy};

use crate::error::{Error, Result};
use crate::sys::env::Environment;

/// The schemes of a proxy; without one it is http.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// The proxy for https, and the variable that names it. The error does not repeat the URL, which may have a password.
pub(super) fn from_env(environment: &Environment) -> Result<Option<(Proxy, &'static str)>> {
    let value = |name: &'static str| Some((name, environment.text(name)?.trim().to_owned()));
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let Some((name, url)) = names.into_iter().find_map(value) else { return Ok(None) };
    let invalid = || {
        Error::invalid(format!("{name} is not the URL of a proxy")).with_hint(format!(
            "set it to a URL such as http://proxy.acme.dev:3128 or socks5h://127.0.0.1:1080, or `unset {name}`"
        ))
    };
    let is_known = url
        .split_once("://")
        .is_none_or(|(scheme, _)| SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)));
    let proxy = Some(url).filter(|_| is_known).and_then(|url| Proxy::https(url).ok());
    let exceptions = ["NO_PROXY", "no_proxy"].into_iter().find_map(value);
    let exceptions = exceptions.and_then(|(_, hosts)| NoProxy::from_string(&hosts));
    Ok(Some((proxy.ok_or_else(invalid)?.no_proxy(exceptions), name)))
}
