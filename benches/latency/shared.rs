//! The copy of a session that machines share, and the same session in a file, both with the settings of the server.

use std::path::Path;

use anyhow::ensure;

use super::case::Case;
use super::measure::{Group, side_by_side};
use super::support::openbao::OpenBao;
use super::support::{Home, service};

/// Their homes, and a `get` in each; `None` if OpenBao is not installed.
pub(crate) fn cases(helper: &Path) -> anyhow::Result<Option<(Vec<Home>, Vec<Case>)>> {
    let Some(bao) = OpenBao::start() else { return Ok(None) };
    let server = service();
    let (mut homes, mut cases) = (Vec::new(), Vec::new());
    for (store, name) in
        [("file", "get, a file and [stores.vault]"), ("vault", "get, the copy of a shared session")]
    {
        let mut home = Home::at(&server);
        let addresses = [&bao.url];
        home.configure(&format!("store = {store:?}\n[stores.vault]\naddresses = {addresses:?}\n"));
        home.write("run/none", "");
        let run = home.path().join("run").display().to_string();
        let variables = [("MY_NO_KEYRING", "1"), ("BAO_TOKEN", "root"), ("XDG_RUNTIME_DIR", &*run)];
        for (variable, value) in variables {
            home.set(variable, value);
        }
        let outcome = home.log_in(&server, "me@acme.dev", &["--store", store]);
        ensure!(outcome.status == 0, "{outcome:?}");
        let case = Case::new(name, helper, &["get"]).home(home.path()).asked("{}", &home.token());
        cases.push(variables.iter().fold(case, |case, (name, value)| case.variable(name, value)));
        homes.push(home);
    }
    Ok(Some((homes, cases)))
}

/// The server has ended: a copy needs none.
pub(crate) fn group(helper: &Path, runs: usize) -> anyhow::Result<Option<Group>> {
    let Some((_homes, cases)) = cases(helper)? else { return Ok(None) };
    side_by_side("A shared session", &cases, runs).map(Some)
}
