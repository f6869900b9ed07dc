//! What a person does with a page, in a real Chromium: open it, read it, fill in its fields by their labels, press its
//! buttons. One browser serves the whole binary, lent to a test at a time and wiped in between.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thirtyfour::By;
use thirtyfour::error::WebDriverError;
use thirtyfour::prelude::{WebDriver, WebElement};
use tokio::runtime::Runtime;

use super::chromium::Driver;
use super::has_client;

/// A machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// The key, as `WebDriver` encodes it.
pub(crate) const ENTER: &str = "\u{e007}";

/// The one browser; it goes when the process has ended.
struct Opened {
    runtime: Runtime,
    browser: WebDriver,
    _driver: Driver,
}

impl Opened {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let driver = Driver::start().expect("chromedriver starts");
        let browser = runtime.block_on(driver.open()).expect("Chromium starts");
        Self { runtime, browser, _driver: driver }
    }
}

/// A browser that has been nowhere yet, with a window of 1280 by 800. No other test has it meanwhile.
pub(crate) struct Browser {
    opened: MutexGuard<'static, Opened>,
}

impl Browser {
    /// Waits for the browser; `None`, with a message, if chromedriver is not installed.
    pub(crate) fn lend() -> Option<Self> {
        static OPENED: OnceLock<Mutex<Opened>> = OnceLock::new();
        if !has_client("chromedriver") {
            return None;
        }
        let opened = OPENED.get_or_init(|| Mutex::new(Opened::new()));
        let browser = Self { opened: opened.lock().unwrap_or_else(PoisonError::into_inner) };
        browser.wipe();
        Some(browser)
    }

    fn wipe(&self) {
        self.open("about:blank");
        self.devtools("Network.clearBrowserCookies", json!({}));
        self.devtools("Emulation.setScriptExecutionDisabled", json!({"value": false}));
        self.devtools("Emulation.setEmulatedMedia", json!({"media": "", "features": []}));
        self.resize(1280, 800);
        self.messages();
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, act: impl Future<Output = Result<T, WebDriverError>>) -> T {
        let done = self.opened.runtime.block_on(act);
        done.unwrap_or_else(|error| panic!("{what}: {error}\nat {}", self.url()))
    }

    fn browser(&self) -> &WebDriver {
        &self.opened.browser
    }

    /// Opens an address and waits for the page.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.wait(&format!("opening {url}"), self.browser().goto(url));
    }

    /// Loads the page again.
    #[track_caller]
    pub(crate) fn reload(&self) {
        self.wait("reloading", self.browser().refresh());
    }

    /// Where the browser is.
    pub(crate) fn url(&self) -> String {
        let url = self.opened.runtime.block_on(self.browser().current_url());
        url.map_or_else(|error| error.to_string(), String::from)
    }

    /// What the page says, as it is seen.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        self.element("body").text(self)
    }

    /// The first element that a CSS selector names.
    #[track_caller]
    pub(crate) fn element(&self, selector: &str) -> Element {
        self.find(selector, By::Css(selector))
    }

    /// The field of this label.
    #[track_caller]
    pub(crate) fn field(&self, label: &str) -> Element {
        let path = format!(
            "//*[@id = //label[normalize-space() = {label:?}]/@for] | //label[normalize-space() = {label:?}]//input"
        );
        self.find(label, By::XPath(path))
    }

    /// The button of this name.
    #[track_caller]
    pub(crate) fn button(&self, name: &str) -> Element {
        self.find(name, By::XPath(format!("//button[normalize-space() = {name:?}]")))
    }

    /// Presses the button of this name and waits for the page that follows.
    #[track_caller]
    pub(crate) fn press(&self, name: &str) {
        let button = self.button(name);
        self.turn_page(|| button.click(self));
    }

    /// Follows the link of this text.
    #[track_caller]
    pub(crate) fn follow(&self, text: &str) {
        let link = self.find(text, By::XPath(format!("//a[normalize-space() = {text:?}]")));
        self.turn_page(|| link.click(self));
    }

    /// Presses Enter in whatever has the focus, and waits for the page that follows.
    #[track_caller]
    pub(crate) fn enter(&self) {
        self.turn_page(|| self.type_keys(ENTER));
    }

    /// Does what leads to another page, and waits for it: chromedriver comes back from a click before a slow server has
    /// answered.
    #[track_caller]
    pub(crate) fn turn_page(&self, act: impl FnOnce()) {
        let page = || {
            self.opened
                .runtime
                .block_on(self.browser().find(By::Tag("html")))
                .map(|page| page.element_id())
        };
        let before = page().expect("a page");
        act();
        let deadline = Instant::now() + PATIENCE;
        while page().is_ok_and(|page| page == before) || !self.is_loaded() {
            assert!(Instant::now() < deadline, "no page follows {}", self.url());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_loaded(&self) -> bool {
        let state = self.browser().execute("return document.readyState", Vec::new());
        self.opened.runtime.block_on(state).is_ok_and(|state| state.json() == "complete")
    }

    #[track_caller]
    fn find(&self, what: &str, by: By) -> Element {
        Element(self.wait(what, self.browser().find(by)))
    }

    /// Types into whatever has the focus.
    #[track_caller]
    pub(crate) fn type_keys(&self, keys: &str) {
        self.wait("typing", self.browser().action_chain().send_keys(keys).perform());
    }

    /// What a script returns. Pages themselves need none.
    #[track_caller]
    pub(crate) fn evaluate(&self, script: &str) -> Value {
        self.wait(script, async {
            Ok(self.browser().execute(script, Vec::new()).await?.json().clone())
        })
    }

    /// A command of the `DevTools` protocol.
    #[track_caller]
    pub(crate) fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.wait(command, self.browser().cdp().send_raw(command, parameters))
    }

    /// A window of this size, in CSS pixels.
    #[track_caller]
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// What the page, or the browser about the page, has written to the console since the last call.
    #[track_caller]
    pub(crate) fn messages(&self) -> Vec<String> {
        let entries = self.wait("the console", self.browser().browser_log());
        entries.into_iter().map(|entry| entry.message).collect()
    }

    /// The window as a PNG.
    #[track_caller]
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        self.wait("a screenshot", self.browser().screenshot_as_png())
    }
}

/// Something on a page.
pub(crate) struct Element(WebElement);

impl Element {
    #[track_caller]
    pub(crate) fn click(&self, browser: &Browser) {
        browser.wait("a click", self.0.click());
    }

    /// Types at the end of what stands there.
    #[track_caller]
    pub(crate) fn type_in(&self, browser: &Browser, text: &str) {
        browser.wait("typing", self.0.send_keys(text));
    }

    /// Its text as it is seen.
    #[track_caller]
    pub(crate) fn text(&self, browser: &Browser) -> String {
        browser.wait("text", self.0.text())
    }

    /// What stands in a field.
    #[track_caller]
    pub(crate) fn value(&self, browser: &Browser) -> String {
        browser.wait("a value", self.0.value()).unwrap_or_default()
    }
}
