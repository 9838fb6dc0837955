//! Fetching over real connections, and from this machine.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use meseta_fetcher::{Error, Item, Job};

/// Gives every request the same bytes as its answer, and keeps the connections open.
fn serve(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = BufReader::new(connection.try_clone().unwrap());
            let mut line = String::new();
            while request.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            connection.write_all(&answer).unwrap();
            if answer.ends_with(b"cut short") {
                continue;
            }
            open.push(connection);
        }
    });
    address
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn job(&self, item: Item) -> Job {
        Job {
            directory: self.home.path().to_owned(),
            items: vec![item],
            ..Job::default()
        }
    }

    fn fetch(&self, item: Item) -> Result<(), Error> {
        self.job(item).fetch(&mut Vec::new())
    }
}

fn item(uri: String) -> Item {
    Item {
        uri,
        ..Item::default()
    }
}

#[test]
fn a_file_is_fetched_over_http_and_made_executable() {
    let address = serve(ok("#!/bin/sh\n"));
    let place = Place::new();
    let wanted = Item {
        executable: true,
        output_file: Some("bin/tool".into()),
        ..item(format!("http://{address}/download"))
    };
    place.fetch(wanted).unwrap();
    let tool = place.path("bin/tool");
    assert_eq!(std::fs::read_to_string(&tool).unwrap(), "#!/bin/sh\n");
    let mode = std::fs::metadata(tool).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn redirects_are_followed() {
    let end = serve(ok("content"));
    let start = serve(format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{end}/there\r\nContent-Length: 0\r\n\r\n"
    ));
    let place = Place::new();
    place.fetch(item(format!("http://{start}/here"))).unwrap();
    let found = std::fs::read_to_string(place.path("here")).unwrap();
    assert_eq!(found, "content");
}

#[test]
fn what_the_server_refuses_is_told_with_its_status_and_leaves_no_file() {
    let address = serve("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone");
    let place = Place::new();
    let uri = format!("http://{address}/a");
    let error = place.fetch(item(uri.clone())).unwrap_err();
    let sentence = "Error downloading resource, received HTTP return code 404";
    assert_eq!(
        error.to_string(),
        format!("Failed to fetch '{uri}': {sentence}")
    );
    assert!(!place.path("a").exists());
}

#[test]
fn a_download_that_stalls_is_given_up() {
    let address = serve("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbeginning");
    let place = Place::new();
    let mut job = place.job(item(format!("http://{address}/a")));
    job.stall_timeout = Duration::from_millis(50);
    let error = job.fetch(&mut Vec::new()).unwrap_err().to_string();
    assert!(
        error.contains("nothing arrived for 0.05 seconds"),
        "{error}"
    );
    assert!(!place.path("a").exists());
}

#[test]
fn a_part_is_not_taken_for_the_whole() {
    let address = serve("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut short");
    let place = Place::new();
    place
        .fetch(item(format!("http://{address}/a")))
        .unwrap_err();
    assert!(!place.path("a").exists());
}

#[test]
fn what_is_larger_than_wanted_is_not_fetched() {
    let address = serve(ok("0123456789"));
    let place = Place::new();
    let mut job = place.job(item(format!("http://{address}/a")));
    job.max_bytes = Some(9);
    let error = job.fetch(&mut Vec::new()).unwrap_err();
    assert!(
        matches!(error, Error::DoesNotFit { limit: 9, .. }),
        "{error}"
    );
    assert!(!place.path("a").exists());
}

#[test]
fn local_files_are_copied_and_what_is_no_file_is_refused() {
    let place = Place::new();
    let source = Place::new();
    std::fs::write(source.path("a"), "content").unwrap();
    let home = source.home.path().to_owned();
    for uri in [
        format!("file://{}/a", home.display()),
        format!("{}/a", home.display()),
        "a".to_owned(),
    ] {
        let mut job = place.job(item(uri));
        job.frameworks_home = Some(home.clone());
        job.fetch(&mut Vec::new()).unwrap();
        let copied = std::fs::read_to_string(place.path("a")).unwrap();
        std::fs::remove_file(place.path("a")).unwrap();
        assert_eq!(copied, "content");
    }
    for path in [
        home.display().to_string(),
        "/dev/zero".into(),
        "/nowhere/a".into(),
    ] {
        place.fetch(item(path.clone())).unwrap_err();
    }
}

#[test]
fn other_schemes_are_the_hadoop_clients() {
    let place = Place::new();
    let client = Place::new();
    std::fs::create_dir(client.path("bin")).unwrap();
    let script = "#!/bin/sh\n[ \"$1\" = version ] || echo \"$1 $2 $3\" > \"$4\"\n";
    std::fs::write(client.path("bin/hadoop"), script).unwrap();
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(client.path("bin/hadoop"), executable).unwrap();
    let mut job = place.job(item("s3a://bucket/a".into()));
    job.hadoop_home = Some(client.home.path().to_owned());
    job.fetch(&mut Vec::new()).unwrap();
    let said = std::fs::read_to_string(place.path("a")).unwrap();
    assert_eq!(said, "fs -copyToLocal s3a://bucket/a\n");
    assert_eq!(std::fs::read_dir(place.home.path()).unwrap().count(), 1);

    let mut job = place.job(item("hdfs:///a".into()));
    job.hadoop_home = Some("/nowhere".into());
    let error = job.fetch(&mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("Failed to create HDFS client"), "{error}");
}

#[test]
fn a_copy_in_the_cache_is_used_instead() {
    let place = Place::new();
    let cache = Place::new();
    std::fs::write(cache.path("c1"), "content").unwrap();
    let wanted = Item {
        cached: Some(cache.path("c1")),
        ..item("http://nowhere.invalid/a".into())
    };
    place.fetch(wanted).unwrap();
    let found = std::fs::read_to_string(place.path("a")).unwrap();
    assert_eq!(found, "content");
}
