//! The pages that people meet on their way, in a real Chromium: the one behind the magic link, the inbox, the console of
//! Microtica. With `MY_TEST_SCREENSHOTS=DIRECTORY` each page is also saved as a picture, wide and narrow, light and dark.

mod console;
mod keys;
mod magic_link;
mod oauth;
mod seen;

use account_server::{NewProject, Server};
use serde_json::json;

use crate::support::browser::Browser;

const ADA: &str = "ada@acme.dev";

/// A hostile name: markup, a script, a change of the text direction, and excessive length.
const HOSTILE: &str =
    "<script>document.title='owned'</script>\"><img src=x onerror=\"document.title='owned'\">";

/// A browser whose person is signed in to the console already.
fn signed_in(server: &Server, email: &str) -> Option<Browser> {
    let browser = Browser::lend()?;
    let (name, value) = server.console_cookie(email).expect("a session");
    browser.devtools(
        "Network.setCookie",
        json!({"name": name, "value": value, "url": server.url(), "httpOnly": true}),
    );
    Some(browser)
}

/// A project of Ada's; its id.
fn shop(server: &Server) -> String {
    project(server, "shop", &["development", "production"])
}

fn project(server: &Server, name: &str, environments: &[&str]) -> String {
    let environments = environments.iter().map(|name| (*name).to_owned()).collect();
    let project = server
        .microtica_project(NewProject { id: None, name: name.to_owned(), environments })
        .expect("a project");
    server.join_microtica_project(&project.id, ADA).expect("a member");
    project.id
}

fn part(server: &Server, project: &str, part: &str) -> String {
    format!("{}/console/projects/{project}/{part}", server.url())
}
