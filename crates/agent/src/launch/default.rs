//! The executor of task groups, which the agent brings along.

use meseta_proto::v1::CommandInfo;

use crate::Config;

/// What starts it, in place of a command that its `ExecutorInfo` does not have.
pub(super) fn command(config: &Config, user: Option<String>) -> CommandInfo {
    let (path, rest) = &config.default_executor;
    let name = path.file_name().unwrap_or(path.as_os_str());
    let mut arguments = vec![name.to_string_lossy().into_owned()];
    arguments.extend(rest.iter().cloned());
    CommandInfo {
        shell: Some(false),
        value: Some(path.to_string_lossy().into_owned()),
        arguments,
        user,
        ..CommandInfo::default()
    }
}
