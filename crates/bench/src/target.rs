//! What is measured: a master at an address, with its process if that can be watched.

use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::measure::{Usage, Watched, listener_of, own_cpu};
use crate::stage::Connection;

/// A master under measurement.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddrV4,
    process: Option<Watched>,
}

/// What a measurement took of the target and of the generator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) wall_seconds: f64,
    /// Processor time of the generator.
    pub(crate) own_cpu_seconds: f64,
    /// Of the target, if its process could be watched.
    pub(crate) target: Option<TargetCost>,
}

/// What a measurement took of the target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TargetCost {
    pub(crate) cpu_seconds: f64,
    pub(crate) memory_before: u64,
    pub(crate) memory_after: u64,
    /// The most that it has had in memory since its start.
    pub(crate) peak: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    pub(crate) written: u64,
}

impl Cost {
    /// The part of one processor that the generator took. Near one, it is the limit itself.
    pub(crate) fn own_share(&self) -> f64 {
        self.own_cpu_seconds / self.wall_seconds.max(f64::MIN_POSITIVE)
    }
}

/// A measurement that goes on.
#[derive(Debug)]
pub(crate) struct Meter {
    began: Instant,
    own: Duration,
    target: Option<Usage>,
}

impl Target {
    /// Finds a master by what the user calls it: `host:port`, `master@host:port`, or a URL.
    pub(crate) fn find(name: &str, pid: Option<i32>, allow_remote: bool) -> Result<Self, Error> {
        let address = locate(name)?;
        let is_here = address.ip().is_loopback();
        if !is_here && !allow_remote {
            return Err(Error::Remote(address));
        }
        let process = match pid {
            Some(pid) => Some(Watched::new(pid)?),
            None if is_here => Some(Watched::new(listener_of(address)?)?),
            None => None,
        };
        Ok(Self { address, process })
    }

    pub(crate) fn usage(&self) -> Result<Option<Usage>, Error> {
        Ok(self.process.as_ref().map(Watched::usage).transpose()?)
    }

    /// Begins to measure.
    pub(crate) fn meter(&self) -> Result<Meter, Error> {
        Ok(Meter {
            target: self.usage()?,
            own: own_cpu(),
            began: Instant::now(),
        })
    }

    /// What it has cost since then.
    pub(crate) fn cost_since(&self, meter: &Meter) -> Result<Cost, Error> {
        let wall_seconds = meter.began.elapsed().as_secs_f64();
        let own_cpu_seconds = own_cpu().saturating_sub(meter.own).as_secs_f64();
        let after = self.usage()?;
        let target = meter.target.zip(after).map(|(before, after)| TargetCost {
            cpu_seconds: after.cpu.saturating_sub(before.cpu).as_secs_f64(),
            memory_before: before.memory,
            memory_after: after.memory,
            peak: after.peak,
            descriptors: after.descriptors,
            threads: after.threads,
            written: after.written.saturating_sub(before.written),
        });
        Ok(Cost {
            wall_seconds,
            own_cpu_seconds,
            target,
        })
    }

    /// A figure of `/metrics/snapshot`.
    pub(crate) async fn metric(&self, name: &'static str) -> Result<f64, Error> {
        metric(self.address, name).await
    }
}

/// A figure of a master's `/metrics/snapshot`.
pub(crate) async fn metric(address: SocketAddrV4, name: &'static str) -> Result<f64, Error> {
    // A master of Mesos that is asked without a timeout may wait for one of its figures for ever.
    let what = "/metrics/snapshot?timeout=2secs";
    let answer = Connection::open(address).await?.get(what).await?;
    if !answer.is_success() {
        return Err(answer.refusal(address, what));
    }
    let unreadable = |reason| Error::Unreachable {
        address,
        what,
        reason,
    };
    let metrics: serde_json::Value =
        serde_json::from_slice(&answer.body).map_err(|error| unreadable(error.to_string()))?;
    let value = metrics.get(name).and_then(serde_json::Value::as_f64);
    value.ok_or_else(|| unreadable(format!("it has no {name}")))
}

fn locate(name: &str) -> Result<SocketAddrV4, Error> {
    let bare = name.strip_prefix("http://").unwrap_or(name);
    let bare = bare.trim_end_matches('/');
    let bare = bare.rsplit_once('@').map_or(bare, |(_, address)| address);
    let found = bare.to_socket_addrs().ok();
    let ipv4 = |address| match address {
        SocketAddr::V4(address) => Some(address),
        SocketAddr::V6(_) => None,
    };
    found
        .and_then(|mut addresses| addresses.find_map(ipv4))
        .ok_or_else(|| Error::Address(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_is_named_as_agents_drivers_and_browsers_name_it() {
        for name in [
            "127.0.0.1:5050",
            "localhost:5050",
            "master@127.0.0.1:5050",
            "http://127.0.0.1:5050/",
        ] {
            assert_eq!(
                locate(name).unwrap().to_string(),
                "127.0.0.1:5050",
                "{name}"
            );
        }
        assert!(matches!(locate("nowhere"), Err(Error::Address(_))));
    }

    #[test]
    fn other_machines_are_driven_only_when_that_is_meant() {
        let refused = Target::find("192.0.2.1:5050", None, false).unwrap_err();
        assert!(matches!(refused, Error::Remote(_)), "{refused}");
        let target = Target::find("192.0.2.1:5050", None, true).unwrap();
        assert!(target.process.is_none());
    }
}
