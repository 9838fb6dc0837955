//! Fetching from real servers of every kind, and through a real proxy.

use serde_json::json;

use crate::support::daemon::{Cluster, Place, RESOURCES};
use crate::support::scheduler::{Scheduler, framework, shell_task};
use crate::support::servers::{Server, are_set_up, certificate};

/// Starts a server of files; `None` where there are no servers.
fn server(script: &str) -> Option<(Place, Server)> {
    let place = files()?;
    let server = Server::start(&place, script, &[place.join("files")]);
    Some((place, server))
}

/// The same, encrypted; with the authority that vouches for it.
fn encrypted(script: &str) -> Option<(Place, Server, String)> {
    let place = files()?;
    let (certificate, authority) = certificate(&place);
    let server = Server::start(&place, script, &[place.join("files"), certificate]);
    Some((place, server, authority.display().to_string()))
}

/// A place with files to serve.
fn files() -> Option<Place> {
    if !are_set_up() {
        return None;
    }
    let place = Place::new();
    let files = place.join("files");
    std::fs::create_dir_all(files.join("alice")).expect("a folder");
    std::fs::write(files.join("for all"), "for all").expect("a file");
    std::fs::write(files.join("alice/her file"), "hers").expect("a file");
    Some(place)
}

/// A cluster whose agent has an environment, and a framework on it.
struct Fetching {
    scheduler: Scheduler,
    cluster: Cluster,
    tasks: usize,
}

impl Fetching {
    fn with(place: Place, environment: &[(&str, &str)]) -> Self {
        // Nothing beyond this machine is ever asked.
        let mut environment = environment.to_vec();
        environment.push(("AWS_EC2_METADATA_DISABLED", "true"));
        let cluster = Cluster::in_environment(place, &[RESOURCES], &environment);
        let scheduler = cluster.subscribe(framework("fetching"));
        Self {
            scheduler,
            cluster,
            tasks: 0,
        }
    }

    fn start(&mut self, uri: &str, command: &str) {
        self.tasks += 1;
        let mut task = shell_task(&format!("t{}", self.tasks), command);
        task["command"]["uris"] = json!([{"value": uri, "output_file": "fetched"}]);
        self.scheduler.start(&task);
    }

    /// Has a task find this content.
    fn finds(&mut self, uri: &str, content: &str) {
        self.start(uri, &format!("test \"$(cat fetched)\" = '{content}'"));
        for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
            let status = self.scheduler.expect(state);
            assert_eq!(
                status["task_id"]["value"],
                format!("t{}", self.tasks),
                "{uri}"
            );
        }
    }

    /// Has a task fail, and its sandbox say why.
    fn fails(&mut self, uri: &str, reason: &str) {
        self.start(uri, "true");
        let status = self.scheduler.expect("TASK_FAILED");
        assert_eq!(
            status["reason"], "REASON_CONTAINER_LAUNCH_FAILED",
            "{status}"
        );
        let latest = self.cluster.place.sandbox_of(&format!("t{}", self.tasks));
        let said = std::fs::read_to_string(latest.join("stderr")).expect("its stderr");
        assert!(said.contains(reason), "{uri}: {said}");
        assert!(!latest.join("fetched").exists(), "{uri}");
    }
}

#[test]
fn files_come_by_ftp_for_everybody_and_for_one() {
    let Some((place, server)) = server("ftp.py") else {
        return;
    };
    let port = server.port();
    let mut fetching = Fetching::with(place, &[]);
    fetching.finds(&format!("ftp://127.0.0.1:{port}/for%20all"), "for all");
    fetching.finds(
        &format!("ftp://alice:p%40ss@127.0.0.1:{port}/her%20file"),
        "hers",
    );
    fetching.fails(
        &format!("ftp://alice:wrong@127.0.0.1:{port}/her%20file"),
        "the server said '530 Authentication failed.'",
    );
    fetching.fails(
        &format!("ftp://127.0.0.1:{port}/none"),
        "the server said '550 No such file or directory.'",
    );
}

#[test]
fn files_come_by_ftp_encrypted() {
    let Some((place, server, authority)) = encrypted("ftp.py") else {
        return;
    };
    let uri = format!("ftps://alice:p%40ss@localhost:{}/her%20file", server.port());
    let mut fetching = Fetching::with(place, &[("SSL_CERT_FILE", &authority)]);
    fetching.finds(&uri, "hers");
}

#[test]
fn objects_come_from_s3_to_who_may_read_them() {
    // It checks signatures.
    let Some((place, server)) = server("s3.py") else {
        return;
    };
    let endpoint = format!("http://127.0.0.1:{}", server.port());
    let (key, secret) = (server.said[1].clone(), server.said[2].clone());
    let mut reader = Fetching::with(
        place,
        &[
            ("AWS_ENDPOINT_URL", &endpoint),
            ("AWS_ACCESS_KEY_ID", &key),
            ("AWS_SECRET_ACCESS_KEY", &secret),
        ],
    );
    reader.finds("s3://bucket/for all", "for all");
    reader.finds("s3a://bucket/alice/her file", "hers");
    reader.fails("s3://bucket/none", "404: NoSuchKey");
    let mut liar = Fetching::with(
        Place::new(),
        &[
            ("AWS_ENDPOINT_URL", &endpoint),
            ("AWS_ACCESS_KEY_ID", &key),
            ("AWS_SECRET_ACCESS_KEY", "wrong"),
        ],
    );
    liar.fails("s3://bucket/for all", "403: SignatureDoesNotMatch");
    let mut nobody = Fetching::with(Place::new(), &[("AWS_ENDPOINT_URL", &endpoint)]);
    nobody.fails("s3://bucket/for all", "no credentials for it were found");
}

#[test]
fn credentials_for_s3_are_found_where_its_tools_keep_them() {
    let Some((place, server)) = server("s3.py") else {
        return;
    };
    let endpoint = format!("http://127.0.0.1:{}", server.port());
    let (key, secret) = (&server.said[1], &server.said[2]);
    let profiles = place.join("credentials");
    let text = format!("[reader]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    std::fs::write(&profiles, text).expect("a file");
    let profiles = profiles.display().to_string();
    let mut fetching = Fetching::with(
        place,
        &[
            ("AWS_ENDPOINT_URL_S3", &endpoint),
            ("AWS_SHARED_CREDENTIALS_FILE", &profiles),
            ("AWS_PROFILE", "reader"),
        ],
    );
    fetching.finds("s3://bucket/for all", "for all");
}

#[test]
fn objects_come_from_google() {
    let Some((place, server)) = server("gcs.py") else {
        return;
    };
    let emulator = format!("127.0.0.1:{}", server.port());
    let mut fetching = Fetching::with(place, &[("STORAGE_EMULATOR_HOST", &emulator)]);
    fetching.finds("gs://bucket/alice/her file", "hers");
    fetching.fails("gs://bucket/none", "received HTTP return code 404");
}

#[test]
fn proxies_are_asked_for_what_the_environment_says_and_for_nothing_else() {
    let Some((place, https, authority)) = encrypted("https.py") else {
        return;
    };
    let http = Server::start(&place, "web.py", &[place.join("files")]);
    let proxy = Server::start::<&str>(&place, "forward.py", &[]);
    let log = place.join("forward.py.log");
    let asked = || std::fs::read_to_string(&log).expect("the proxy's log");
    let proxy = format!("http://127.0.0.1:{}", proxy.port());
    let mut fetching = Fetching::with(
        place,
        &[
            ("SSL_CERT_FILE", &authority),
            ("http_proxy", &proxy),
            ("https_proxy", &proxy),
            ("no_proxy", "127.0.0.1"),
        ],
    );
    let (http, https) = (http.port().to_owned(), https.port().to_owned());
    fetching.finds(&format!("http://localhost:{http}/for%20all"), "for all");
    // In whole, not by CONNECT: many proxies grant that to encrypted connections alone.
    assert!(
        asked().contains(&format!("GET localhost:{http}/for%20all")),
        "{}",
        asked()
    );
    fetching.finds(&format!("https://localhost:{https}/for%20all"), "for all");
    assert!(
        asked().contains(&format!("CONNECT localhost:{https}")),
        "{}",
        asked()
    );
    fetching.finds(&format!("http://127.0.0.1:{http}/for%20all"), "for all");
    assert!(
        !asked().contains(&format!("127.0.0.1:{http}/")),
        "{}",
        asked()
    );
}
