//! The mails of a login: by SMTP where a server is named, else into the inbox. Never writes a code to a log.

use askama::Template;
use lettre::message::{Mailbox, MultiPart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::extract::Device;
use crate::product::Product;
use crate::refusal::Refusal;
pub(crate) use inbox::Inbox;
pub use inbox::Mail;

mod inbox;

const SENDER: &str = "no-reply@mycli.invalid";
const PATIENCE: Duration = Duration::from_secs(10);

/// What the mail of a login tells.
pub(crate) struct LoginMail {
    pub(crate) link: String,
    pub(crate) code: String,
    pub(crate) minutes: i64,
    pub(crate) product: Product,
    /// Who asked for it, and when.
    pub(crate) device: Device,
    pub(crate) asked_at: Timestamp,
}

impl LoginMail {
    fn subject(&self) -> String {
        format!("Confirm your login to {}", self.product.name())
    }
}

#[derive(Template)]
#[template(path = "login.txt")]
struct Text<'a> {
    mail: &'a LoginMail,
}

#[derive(Template)]
#[template(path = "login.html")]
struct Html<'a> {
    mail: &'a LoginMail,
}

/// Where mails go.
pub(crate) enum Mailer {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Inbox(Inbox),
}

impl Mailer {
    /// Mails go to the SMTP server at `host:port`, or without one into the inbox.
    pub(crate) fn new(smtp: Option<&str>) -> anyhow::Result<Self> {
        let Some(server) = smtp else {
            return Ok(Self::Inbox(Inbox::default()));
        };
        let parts = server.rsplit_once(':');
        let named = parts.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let (host, port) = named.ok_or_else(|| anyhow::anyhow!("{server} is not host:port"))?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .timeout(Some(PATIENCE));
        Ok(Self::Smtp(transport.build()))
    }

    /// The inbox, where that is where mails go.
    pub(crate) fn inbox(&self) -> Option<&Inbox> {
        match self {
            Self::Inbox(inbox) => Some(inbox),
            Self::Smtp(_) => None,
        }
    }

    /// Sends the mail of a login; whether it could be sent.
    pub(crate) async fn send(
        &self,
        to: String,
        mail: &LoginMail,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        let text = Text { mail }.render()?;
        match self {
            Self::Inbox(inbox) => {
                inbox.put(received(to, mail, text, now));
                Ok(true)
            }
            Self::Smtp(server) => {
                let html = Html { mail }.render()?;
                Ok(deliver(server, &to, mail, text, html)
                    .await
                    .inspect_err(|error| eprintln!("mail: {error:#}"))
                    .is_ok())
            }
        }
    }
}

fn received(to: String, mail: &LoginMail, text: String, now: Timestamp) -> Mail {
    Mail {
        to,
        subject: mail.subject(),
        link: mail.link.clone(),
        code: mail.code.clone(),
        text,
        sent_at: now.to_string(),
    }
}

async fn deliver(
    server: &AsyncSmtpTransport<Tokio1Executor>,
    to: &str,
    mail: &LoginMail,
    text: String,
    html: String,
) -> anyhow::Result<()> {
    let message = Message::builder()
        .from(Mailbox::new(Some(mail.product.name().to_owned()), SENDER.parse()?))
        .to(to.parse::<Mailbox>()?)
        .subject(mail.subject())
        .multipart(MultiPart::alternative_plain_html(text, html))?;
    server.send(message).await?;
    Ok(())
}
