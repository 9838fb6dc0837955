//! The leading master, looked up in ZooKeeper, where Mesos's masters contend for the lead.
//!
//! Every master that could lead has a node below the path of the address, `json.info_` and a number,
//! which holds its `MasterInfo` in JSON and goes with the master; that of the lowest number leads.

use std::convert::Infallible;
use std::{fmt, net};

use meseta_proto::json;
use meseta_proto::v1::MasterInfo;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use zookeeper_client::{Client, Error as Failed, EventType};

use crate::Error;
use crate::address::{self, ZOOKEEPER};
use crate::backoff::Backoff;
use crate::connection::Endpoint;
use crate::limits::{ANSWER_TIMEOUT, ZOOKEEPER_SESSION};

/// What the nodes of masters are called, before the number.
const LABEL: &str = "json.info";

/// `zk://[user:password@]host:port,…/path`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Ensemble {
    /// What proves who reads, where the nodes are not for everybody.
    credential: Option<String>,
    servers: String,
    path: String,
}

impl fmt::Debug for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Without the credential.
impl fmt::Display for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ZOOKEEPER}{}{}", self.servers, self.path)
    }
}

impl Ensemble {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |reason| Error::Address {
            address: address::without_secret(text),
            reason,
        };
        let form =
            "write zk://host:port,host:port/path, with user:password@ before the hosts if need be";
        let rest = text.strip_prefix(ZOOKEEPER).ok_or(wrong(form))?;
        // The credential may hold anything but the last @ and a slash.
        let (before, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credential, servers) = match before.rsplit_once('@') {
            Some((credential, servers)) => (Some(credential.to_owned()), servers),
            None => (None, before),
        };
        let path = path.trim_end_matches('/');
        if servers.is_empty() || servers.contains(char::is_whitespace) {
            return Err(wrong(form));
        }
        if path.is_empty() {
            return Err(wrong(
                "it names no path: masters say theirs by --zk, as in zk://host:2181/mesos",
            ));
        }
        Ok(Self {
            credential,
            servers: servers.to_owned(),
            path: format!("/{path}"),
        })
    }
}

/// Who leads, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Detection {
    /// Nothing is known yet.
    Asking,
    /// ZooKeeper does not say, for this reason.
    Unknown(String),
    /// Nobody leads.
    Nobody,
    Leader(Endpoint),
}

/// Follows the lead for as long as it lives.
#[derive(Debug)]
pub(crate) struct Detector {
    ensemble: Ensemble,
    detections: watch::Receiver<Detection>,
    task: JoinHandle<()>,
}

impl Drop for Detector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Detector {
    /// Begins to follow; masters are called over TLS if `is_secure`.
    pub(crate) fn start(ensemble: &Ensemble, is_secure: bool) -> Self {
        let (tell, detections) = watch::channel(Detection::Asking);
        let follower = Follower {
            ensemble: ensemble.clone(),
            is_secure,
            tell,
        };
        Self {
            ensemble: ensemble.clone(),
            detections,
            task: tokio::spawn(follower.run()),
        }
    }

    /// Who leads; an error is a sentence.
    pub(crate) async fn leader(&mut self) -> Result<Endpoint, String> {
        let known = self.detections.wait_for(|d| *d != Detection::Asking);
        let detection = match timeout(ANSWER_TIMEOUT, known).await {
            Ok(Ok(detection)) => detection.clone(),
            _ => Detection::Unknown("it does not answer".to_owned()),
        };
        match detection {
            Detection::Leader(leader) => Ok(leader),
            Detection::Nobody => Err(format!("no master leads, says {}", self.ensemble)),
            Detection::Asking => Err(format!("{} does not answer", self.ensemble)),
            Detection::Unknown(reason) => Err(format!(
                "{} does not say which master leads: {reason}",
                self.ensemble
            )),
        }
    }

    /// Waits until something else is known.
    pub(crate) async fn changed(&mut self) {
        if self.detections.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until another leads than the one given.
    pub(crate) async fn leads_other_than(&mut self, followed: &Endpoint) -> Endpoint {
        let another = |d: &Detection| matches!(d, Detection::Leader(leader) if leader != followed);
        let leader = match self.detections.wait_for(another).await.as_deref() {
            Ok(Detection::Leader(leader)) => Some(leader.clone()),
            _ => None,
        };
        match leader {
            Some(leader) => leader,
            None => std::future::pending().await,
        }
    }
}

struct Follower {
    ensemble: Ensemble,
    is_secure: bool,
    tell: watch::Sender<Detection>,
}

impl Follower {
    async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            let Err(reason) = self.follow(&mut backoff).await;
            tracing::warn!(ensemble = %self.ensemble, reason, "ZooKeeper is away");
            self.tell.send_if_modified(|known| {
                // Who led last is the best guess until ZooKeeper is back.
                let is_news = !matches!(known, Detection::Leader(_));
                if is_news {
                    *known = Detection::Unknown(reason);
                }
                is_news
            });
            sleep(backoff.pause()).await;
        }
    }

    /// Follows the lead through one session, whose end is a sentence.
    async fn follow(&self, backoff: &mut Backoff) -> Result<Infallible, String> {
        let mut connector = Client::connector().with_session_timeout(ZOOKEEPER_SESSION);
        if let Some(credential) = &self.ensemble.credential {
            connector = connector.with_auth("digest", credential.as_bytes());
        }
        let connected = timeout(ANSWER_TIMEOUT, connector.connect(&self.ensemble.servers)).await;
        let client = connected
            .map_err(|_| "it takes no connection".to_owned())?
            .map_err(|e| e.to_string())?;
        backoff.reset();
        let path = &self.ensemble.path;
        loop {
            let watcher = match client.list_and_watch_children(path).await {
                Ok((names, watcher)) => {
                    self.look_at(&client, &names).await?;
                    watcher
                }
                // No master has ever been there.
                Err(Failed::NoNode) => {
                    let stat = client.check_and_watch_stat(path).await;
                    let (stat, watcher) = stat.map_err(|e| e.to_string())?;
                    if stat.is_some() {
                        continue;
                    }
                    self.learn(Detection::Nobody);
                    watcher
                }
                Err(error) => return Err(error.to_string()),
            };
            let event = watcher.changed().await;
            if event.event_type == EventType::Session {
                return Err("the session has ended".to_owned());
            }
        }
    }

    async fn look_at(&self, client: &Client, names: &[String]) -> Result<(), String> {
        let Some(name) = first(names) else {
            self.learn(Detection::Nobody);
            return Ok(());
        };
        let path = format!("{}/{name}", self.ensemble.path);
        match client.get_data(&path).await {
            Ok((data, _)) => self.learn(match endpoint(&data, self.is_secure) {
                Ok(leader) => Detection::Leader(leader),
                Err(reason) => Detection::Unknown(format!("{path} holds no MasterInfo: {reason}")),
            }),
            // It has gone since, of which the watch tells.
            Err(Failed::NoNode) => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    fn learn(&self, detection: Detection) {
        self.tell.send_if_modified(|known| {
            let is_news = *known != detection;
            if is_news {
                tracing::info!(ensemble = %self.ensemble, ?detection, "who leads");
                *known = detection;
            }
            is_news
        });
    }
}

/// The node of the master that leads, among whatever else is below the path.
fn first(names: &[String]) -> Option<&String> {
    let number = |name: &&String| -> Option<u32> {
        let (label, number) = name.rsplit_once('_')?;
        (label == LABEL).then(|| number.parse().ok())?
    };
    let numbered = names.iter().filter_map(|name| Some((number(&name)?, name)));
    numbered.min().map(|(_, name)| name)
}

/// Where the master is of which a node tells.
fn endpoint(data: &[u8], is_secure: bool) -> Result<Endpoint, String> {
    let info: MasterInfo = json::from_slice(data).map_err(|e| e.to_string())?;
    // Certificates are for names.
    let name = info
        .hostname
        .clone()
        .filter(|name| is_secure && !name.is_empty());
    let address = info.address.as_ref();
    let ip = address.and_then(|address| address.ip.clone());
    let port = address.map_or(i64::from(info.port), |address| i64::from(address.port));
    // In the order of the network, as the machine that wrote it keeps it.
    let old = || net::Ipv4Addr::from(info.ip.to_le_bytes()).to_string();
    let host = name.or(ip).unwrap_or_else(old);
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    address::check(&format!("{host}:{port}"), is_secure).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ensemble_is_hosts_and_a_path_and_its_secret_is_never_shown() {
        let ensemble = Ensemble::parse("zk://me:p@ss@a:2181,b:2181/clusters/mesos/").unwrap();
        assert_eq!(ensemble.credential.as_deref(), Some("me:p@ss"));
        assert_eq!(ensemble.servers, "a:2181,b:2181");
        assert_eq!(ensemble.path, "/clusters/mesos");
        assert_eq!(format!("{ensemble:?}"), "zk://a:2181,b:2181/clusters/mesos");
        for text in ["zk://me:p@ss@a:2181", "zk:///mesos", "zk://me:p@ss@/mesos"] {
            let error = Ensemble::parse(text).unwrap_err().to_string();
            assert!(!error.contains("p@ss"), "{error}");
        }
    }

    #[test]
    fn the_lowest_number_leads_whatever_else_is_there() {
        let names = [
            "log_replicas",
            "json.info_0000000012",
            "json.info_0000000009",
            "info_0000000001",
            "json.info_",
            "",
        ]
        .map(str::to_owned);
        assert_eq!(first(&names).unwrap(), "json.info_0000000009");
        assert_eq!(first(&names[3..]), None);
    }

    #[test]
    fn a_master_is_where_its_node_says() {
        // As a genuine master wrote it.
        let node = r#"{"address":{"hostname":"one","ip":"10.0.0.1","port":5050},
            "capabilities":[{"type":"AGENT_UPDATE"}],"hostname":"one","id":"1-2",
            "ip":16777226,"pid":"master@10.0.0.1:5050","port":5050,"version":"1.11.0"}"#;
        let plain = endpoint(node.as_bytes(), false).unwrap();
        assert_eq!(plain, Endpoint::Tcp("10.0.0.1:5050".into()));
        let secure = endpoint(node.as_bytes(), true).unwrap();
        assert_eq!(secure, Endpoint::Tls("one:5050".into()));
        let old = r#"{"id":"1","ip":16777226,"port":5051}"#;
        let old = endpoint(old.as_bytes(), false).unwrap();
        assert_eq!(old, Endpoint::Tcp("10.0.0.1:5051".into()));
        assert!(endpoint(b"{}", false).is_err());
    }
}
