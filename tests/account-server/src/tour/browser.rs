//! What a person would do in a browser, and a program with its token: requests over HTTP to the service alone.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use ureq::Agent;

/// What the service answered.
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Page {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The visible text of a page: its headings and paragraphs, one line each.
    pub(super) fn words(&self) -> String {
        let main = self.text.split_once("<main>").map_or(self.text.as_str(), |(_, main)| main);
        let mut words = String::new();
        for (number, piece) in main.split('<').enumerate() {
            let said = if number == 0 {
                piece
            } else {
                piece.split_once('>').map_or("", |(_, said)| said)
            };
            words.push_str(said);
        }
        let lines: Vec<_> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.join("\n")
    }
}

pub(super) struct Browser {
    agent: Agent,
    url: String,
}

impl Browser {
    /// A browser for the service at `url`.
    pub(super) fn new(url: &str) -> Self {
        // A proxy of the user's has no business with what stays on this machine.
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(10)));
        Self { agent: config.build().into(), url: url.to_owned() }
    }

    /// The page at a path of the service, asked for with a token where there is one.
    pub(super) fn get(&self, path: &str, token: Option<&str>) -> anyhow::Result<Page> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut response =
            request.call().with_context(|| format!("asking the service for {path}"))?;
        Ok(Page { status: response.status().as_u16(), text: response.body_mut().read_to_string()? })
    }
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn a_page_is_read_without_its_tags() {
        let text =
            "<title>no</title>\n<main>\n  <h1>Done</h1>\n  <p>As <strong>a@b.c</strong>.</p>\n</main>\n".to_owned();
        assert_eq!(Page { status: 200, text }.words(), "Done\nAs a@b.c.");
    }
}
