//! A real ZooKeeper, which `cargo xtask test` installs, and masters' nodes in it as Mesos's masters make
//! them. Where there is none, tests skip.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::json;
use zookeeper_client::{Acls, Client, CreateMode};

use super::daemon::Place;
use super::{eventually, free_address};

/// Where Debian's package puts it, with all that it needs named in its manifest.
const JAR: &str = "/usr/share/java/zookeeper.jar";

/// Whether it is installed, and a Java to run it.
pub(crate) fn is_installed() -> bool {
    let java = Command::new("java").arg("-version").output();
    Path::new(JAR).exists() && java.is_ok_and(|output| output.status.success())
}

/// A server on its own, ended with the test.
#[derive(Debug)]
pub(crate) struct ZooKeeper {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl ZooKeeper {
    pub(crate) fn start(place: &Place) -> Self {
        Self::start_at(place, free_address())
    }

    pub(crate) fn start_at(place: &Place, address: SocketAddr) -> Self {
        let mut command = Command::new("java");
        command
            .args([
                "-Xmx64m",
                "-Dzookeeper.admin.enableServer=false",
                "-cp",
                JAR,
            ])
            .arg("org.apache.zookeeper.server.ZooKeeperServerMain")
            .arg(address.port().to_string())
            .arg(place.join("zookeeper"));
        let child = place.run("zookeeper", &mut command);
        eventually("ZooKeeper", || TcpStream::connect(address).ok());
        Self { child, address }
    }

    /// Ends it as the kernel would.
    pub(crate) fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// A session of its own; who has a credential makes nodes that nobody else reads.
    pub(crate) async fn session(&self, credential: Option<&str>) -> Session {
        let mut connector = Client::connector().with_session_timeout(Duration::from_secs(10));
        if let Some(credential) = credential {
            connector = connector.with_auth("digest", credential.as_bytes());
        }
        let client = connector.connect(&self.address.to_string()).await;
        Session {
            client: client.expect("a session"),
            is_private: credential.is_some(),
        }
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// What a master has open while it contends for the lead: its nodes go with it.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    is_private: bool,
}

impl Session {
    /// Makes the node of a master, as Mesos's contender does.
    pub(crate) async fn contend(&self, path: &str, master: SocketAddr) {
        let acls = if self.is_private {
            Acls::creator_all()
        } else {
            Acls::anyone_all()
        };
        let folder = CreateMode::Persistent.with_acls(acls);
        self.client
            .mkdir(path, &folder)
            .await
            .expect("the masters' path");
        let SocketAddr::V4(address) = master else {
            panic!("{master} is of another family");
        };
        let (ip, port) = (address.ip(), address.port());
        let info = json!({
            "address": {"hostname": "localhost", "ip": ip.to_string(), "port": port},
            "capabilities": [{"type": "AGENT_UPDATE"}, {"type": "AGENT_DRAINING"}],
            "hostname": "localhost",
            "id": format!("id of {master}"),
            "ip": u32::from_le_bytes(ip.octets()),
            "pid": format!("master@{master}"),
            "port": port,
            "version": "1.11.0",
        });
        let node = CreateMode::EphemeralSequential.with_acls(acls);
        let name = format!("{path}/json.info_");
        let created = self
            .client
            .create(&name, info.to_string().as_bytes(), &node);
        created.await.expect("a node");
    }
}
