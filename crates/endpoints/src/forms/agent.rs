use meseta_proto::v1;
use meseta_resources::attribute_summary;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::{Entries, Object, Quantity};
use crate::reply::BUILD_DATE;

/// An agent by what it says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Agent<'a>(pub &'a v1::AgentInfo);

impl Entries for Agent<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let info = self.0;
        let id = info.id.as_ref().map_or("", v1::AgentId::as_str);
        map.serialize_entry("id", id)?;
        map.serialize_entry("hostname", &info.hostname)?;
        map.serialize_entry("port", &info.port())?;
        map.serialize_entry("attributes", &Attributes(&info.attributes))?;
        if let Some(domain) = &info.domain {
            map.serialize_entry("domain", &Object(Domain(domain)))?;
        }
        Ok(())
    }
}

/// Attributes: an object of numbers and text.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a>(pub &'a [v1::Attribute]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let summary = attribute_summary(self.0);
        serializer.collect_map(summary.iter().map(|(name, value)| (name, Quantity(value))))
    }
}

/// Where a machine stands.
#[derive(Debug, Clone, Copy)]
pub struct Domain<'a>(pub &'a v1::DomainInfo);

impl Entries for Domain<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Some(place) = &self.0.fault_domain else {
            return Ok(());
        };
        let shown = json!({
            "region": {"name": place.region.name},
            "zone": {"name": place.zone.name},
        });
        map.serialize_entry("fault_domain", &shown)
    }
}

/// A master, as `leader_info` shows it.
#[derive(Debug, Clone, Copy)]
pub struct Master<'a>(pub &'a v1::MasterInfo);

impl Entries for Master<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let info = self.0;
        map.serialize_entry("id", &info.id)?;
        map.serialize_entry("pid", info.pid())?;
        map.serialize_entry("port", &info.port)?;
        map.serialize_entry("hostname", info.hostname())?;
        if let Some(domain) = &info.domain {
            map.serialize_entry("domain", &Object(Domain(domain)))?;
        }
        Ok(())
    }
}

/// The version, and what stands where Mesos shows how it was built.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a>(pub &'a str);

impl Entries for Build<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("version", self.0)?;
        map.serialize_entry("build_date", BUILD_DATE)?;
        map.serialize_entry("build_time", &0.0)?;
        map.serialize_entry("build_user", "")
    }
}
