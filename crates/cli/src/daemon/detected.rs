//! What an agent offers where its flags do not say it.

use std::path::Path;

use meseta_proto::v1::Resource;
use meseta_resources::Resources;

use crate::Failure;
use crate::flags::{FlagError, Flags};

/// The resources of `--resources`, and of the machine those kinds that the flag does not name.
pub(crate) fn resources(flags: &Flags, work_dir: &Path) -> Result<Vec<Resource>, Failure> {
    let given = flags.get::<String>("resources")?.unwrap_or_default();
    let role = flags
        .get::<String>("default_role")?
        .unwrap_or_else(|| "*".into());
    let refused = |e: meseta_resources::Error| {
        Failure::Flags(FlagError::Value {
            name: "resources",
            value: given.clone(),
            reason: e.to_string(),
        })
    };
    let mut resources = Resources::parse(&given, &role).map_err(refused)?;
    let machine = meseta_containerizer::machine::detect(work_dir);
    let (first, last) = machine.ports;
    let found = [
        ("cpus", format!("cpus:{}", machine.cpus)),
        ("mem", format!("mem:{}", machine.mem_mb)),
        ("disk", format!("disk:{}", machine.disk_mb)),
        ("ports", format!("ports:[{first}-{last}]")),
    ];
    for (name, text) in found {
        if !resources.iter().any(|resource| resource.name() == name) {
            resources += &Resources::parse(&text, &role).map_err(refused)?;
        }
    }
    Ok(resources.to_v1())
}
