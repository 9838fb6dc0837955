//! The web page as a real browser shows it, and as somebody with a mouse uses it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use super::{PATIENCE, eventually};

/// Names under which the browser is installed.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The browser is spoken to over its descriptors 3 and 4.
const PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null"#;

/// A browser with one page open.
#[derive(Debug)]
pub(crate) struct Browser {
    process: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    calls: u64,
    session: Option<String>,
    complaints: Vec<String>,
    /// All that was asked for over a network.
    asked: BTreeSet<String>,
}

impl Browser {
    /// Starts the browser of this machine, if there is one, with a fresh profile.
    pub(crate) fn start(profile: &Path) -> Option<Self> {
        let name = NAMES.into_iter().find(|name| {
            Command::new(name)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })?;
        let mut process = Command::new("/bin/sh")
            .args(["-c", PIPES, name])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--remote-debugging-pipe",
                "--window-size=1280,900",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        let to = process.stdin.take().expect("a pipe to the browser");
        let out = process.stdout.take().expect("a pipe from the browser");
        let (said, from) = channel();
        std::thread::spawn(move || {
            let mut messages = BufReader::new(out).split(0);
            while let Some(Ok(message)) = messages.next() {
                let message = serde_json::from_slice(&message).expect("the browser speaks JSON");
                if said.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            process,
            to,
            from,
            calls: 0,
            session: None,
            complaints: Vec::new(),
            asked: BTreeSet::new(),
        };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Goes to an address.
    pub(crate) fn open(&mut self, address: SocketAddr, target: &str) {
        let url = format!("http://{address}{target}");
        let answer = self.call("Page.navigate", json!({"url": url}));
        assert_eq!(answer["errorText"], Value::Null, "{url}");
    }

    /// What a script in the page comes to.
    pub(crate) fn evaluate(&mut self, script: &str) -> Value {
        let call = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", call);
        let failure = &answer["exceptionDetails"];
        let beginning: String = script.chars().take(200).collect();
        assert!(failure.is_null(), "{beginning}: {failure:#}");
        answer["result"]["value"].clone()
    }

    /// Waits until a script in the page comes to something true, and gives it.
    pub(crate) fn until(&mut self, awaited: &str, script: &str) -> Value {
        eventually(&format!("{awaited}, in a browser"), || {
            let found = self.evaluate(script);
            let is_true = !matches!(&found, Value::Null | Value::Bool(false))
                && found != ""
                && found.as_array().is_none_or(|items| !items.is_empty());
            is_true.then_some(found)
        })
    }

    /// Waits until the page shows a text.
    pub(crate) fn shows(&mut self, text: &str) {
        let script = format!("document.body?.innerText.includes({})", json!(text));
        self.until(&format!("{text:?}"), &script);
    }

    /// Waits until a row with all of these words is in the table of this name.
    pub(crate) fn shows_row(&mut self, table: &str, words: &[&str]) {
        let script = format!(
            "[...document.querySelectorAll('[role=table]')]
                .filter(table => table.ariaLabel === {})
                .flatMap(table => [...table.querySelectorAll('.rows > [role=row]')])
                .some(row => {}.every(word => row.textContent.includes(word)))",
            json!(table),
            json!(words)
        );
        self.until(&format!("{words:?} under {table}"), &script);
    }

    /// Clicks with the mouse on the first link, button or label with this text, once there is one.
    pub(crate) fn click(&mut self, text: &str) {
        let script = format!(
            "(() => {{
                const all = [...(document.querySelector('dialog') ?? document)
                    .querySelectorAll('a, button, label')];
                const found = all.find(one => one.textContent.trim() === {});
                found?.scrollIntoView({{ block: 'center' }});
                const box = found?.getBoundingClientRect();
                // What is not shown yet has no size.
                return box?.width > 0 && [box.x + box.width / 2, box.y + box.height / 2];
            }})()",
            json!(text)
        );
        let place = self.until(
            &format!("something to click on that says {text:?}"),
            &script,
        );
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Types a text into what has the focus.
    pub(crate) fn types(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Types a text into the field of this name, once there is one, in place of what is there.
    pub(crate) fn fill(&mut self, name: &str, text: &str) {
        let script = format!(
            "(() => {{
                const field = document.getElementsByName({})[0];
                field?.select();
                return document.activeElement === field;
            }})()",
            json!(name)
        );
        self.until(&format!("a field {name:?}"), &script);
        self.types(text);
    }

    /// Presses a key that stands for a letter or a sign, or Enter.
    pub(crate) fn press(&mut self, key: &str) {
        let text = if key == "Enter" { "\r" } else { key };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "text": text});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Presses the key that closes what is open.
    pub(crate) fn press_escape(&mut self) {
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({"type": kind, "key": "Escape", "windowsVirtualKeyCode": 27});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Presses a key while Ctrl is held.
    pub(crate) fn press_with_ctrl(&mut self, key: &str) {
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "modifiers": 2});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Prefers `light` or `dark`, on a screen so many pixels wide.
    pub(crate) fn emulate(&mut self, scheme: &str, width: u32) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.call("Emulation.setEmulatedMedia", json!({"features": [feature]}));
        let screen = json!({
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", screen);
    }

    /// What the page's console has been told of errors and warnings.
    pub(crate) fn complaints(&mut self) -> &[String] {
        // All that was said before the answer has been read with it.
        self.evaluate("1");
        &self.complaints
    }

    /// What it was made to ask anybody for but these.
    pub(crate) fn asked_beside(&mut self, hosts: &[SocketAddr]) -> Vec<String> {
        self.evaluate("1");
        let of_host = |host: &SocketAddr, url: &str| {
            let rest = url.strip_prefix(&format!("http://{host}"));
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let strange = |url: &&String| !hosts.iter().any(|host| of_host(host, url));
        self.asked.iter().filter(strange).cloned().collect()
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method});
        call["params"] = params;
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        let mut message = call.to_string().into_bytes();
        message.push(0);
        self.to.write_all(&message).expect("the browser listens");
        loop {
            let said = self.from.recv_timeout(PATIENCE);
            let said = said.unwrap_or_else(|error| panic!("no answer to {method}: {error}"));
            if said["id"] == self.calls {
                assert_eq!(said["error"], Value::Null, "{method}");
                return said["result"].clone();
            }
            self.hear(&said);
        }
    }

    fn hear(&mut self, said: &Value) {
        let params = &said["params"];
        if said["method"] == "Network.requestWillBeSent" {
            let url = params["request"]["url"].as_str().unwrap_or_default();
            // The browser's own pictures, such as that of a calendar, come from nowhere.
            if !url.starts_with("data:") {
                self.asked.insert(url.to_owned());
            }
        }
        if said["method"] == "Network.webSocketCreated" {
            self.asked.insert(params["url"].to_string());
        }
        let complaint = match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => params["entry"]["level"] != "verbose",
            Some("Runtime.consoleAPICalled") => params["type"] != "log",
            _ => false,
        };
        if complaint {
            self.complaints.push(params.to_string());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        let bye = br#"{"id":0,"method":"Browser.close"}"#;
        // A browser that is gone already is what is wanted.
        let _ = self
            .to
            .write_all(bye)
            .and_then(|()| self.to.write_all(&[0]));
        // Its end closes the pipe; one that does not listen is ended.
        while self.from.recv_timeout(PATIENCE).is_ok() {}
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
