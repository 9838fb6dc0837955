use meseta_proto::v1::environment::variable;
use meseta_proto::v1::{
    CommandInfo, ContainerInfo, Environment, Secret, Volume, container_info, secret, volume,
};

use super::{Checked, Invalid};

/// Checks the command of a task, an executor or a check.
pub(super) fn command(command: &CommandInfo) -> Checked {
    command.environment.as_ref().map_or(Ok(()), environment)
}

fn environment(environment: &Environment) -> Checked {
    for variable in &environment.variables {
        let refuse = |rest: &str| {
            Err(Invalid(format!(
                "Environment variable '{}' {rest}",
                variable.name
            )))
        };
        match variable.r#type() {
            variable::Type::Value => {
                if variable.value.is_none() {
                    return refuse("of type 'VALUE' must have a value set");
                }
                if variable.secret.is_some() {
                    return refuse("of type 'VALUE' must not have a secret set");
                }
            }
            variable::Type::Secret => {
                let Some(given) = &variable.secret else {
                    return refuse("of type 'SECRET' must have a secret set");
                };
                if variable.value.is_some() {
                    return refuse("of type 'SECRET' must not have a value set");
                }
                if let Err(e) = secret(given) {
                    return refuse(&format!("specifies an invalid secret: {e}"));
                }
                if given.value.as_ref().is_some_and(|v| v.data.contains(&0)) {
                    return refuse(
                        "specifies a secret containing null bytes, which is not allowed in the \
                         environment",
                    );
                }
            }
            variable::Type::Unknown => {
                return Err(Invalid::new(
                    "Environment variable of type 'UNKNOWN' is not allowed",
                ));
            }
        }
    }
    Ok(())
}

fn secret(given: &Secret) -> Checked {
    match given.r#type() {
        secret::Type::Unknown => Ok(()),
        secret::Type::Reference => match (&given.reference, &given.value) {
            (None, _) => Err(Invalid::new(
                "Secret of type REFERENCE must have the 'reference' field set",
            )),
            (Some(reference), Some(_)) => Err(Invalid(format!(
                "Secret '{}' of type REFERENCE must not have the 'value' field set",
                reference.name
            ))),
            (Some(_), None) => Ok(()),
        },
        secret::Type::Value => {
            if given.value.is_none() {
                return Err(Invalid::new(
                    "Secret of type VALUE must have the 'value' field set",
                ));
            }
            if given.reference.is_some() {
                return Err(Invalid::new(
                    "Secret of type VALUE must not have the 'reference' field set",
                ));
            }
            Ok(())
        }
    }
}

/// Checks the container of a task or an executor.
pub(super) fn container(container: &ContainerInfo) -> Checked {
    for mount in &container.volumes {
        volume(mount).map_err(|e| Invalid(format!("Invalid volume: {e}")))?;
    }
    if container.r#type() != container_info::Type::Docker {
        return Ok(());
    }
    let Some(docker) = &container.docker else {
        return Err(Invalid::new(
            "DockerInfo 'docker' is not set for DOCKER typed ContainerInfo",
        ));
    };
    // The agent names Docker containers itself, to find them again.
    if docker.parameters.iter().any(|p| p.key == "name") {
        return Err(Invalid::new("Parameter in DockerInfo must not be 'name'"));
    }
    Ok(())
}

fn volume(mount: &Volume) -> Checked {
    use volume::source::Type;
    let given = [
        mount.host_path.is_some(),
        mount.image.is_some(),
        mount.source.is_some(),
    ];
    if given.into_iter().filter(|is_set| *is_set).count() != 1 {
        return Err(Invalid::new(
            "Only one of them should be set: 'host_path', 'image' and 'source'",
        ));
    }
    let Some(source) = &mount.source else {
        return Ok(());
    };
    let need = |is_set: bool, part: &str, kind: &str| {
        if is_set {
            return Ok(());
        }
        Err(Invalid(format!(
            "'source.{part}' is not set for {kind} volume"
        )))
    };
    match source.r#type() {
        Type::DockerVolume => need(
            source.docker_volume.is_some(),
            "docker_volume",
            "DOCKER_VOLUME",
        ),
        Type::HostPath => need(source.host_path.is_some(), "host_path", "HOST_PATH"),
        Type::SandboxPath => need(
            source.sandbox_path.is_some(),
            "sandbox_path",
            "SANDBOX_PATH",
        ),
        Type::Secret => need(source.secret.is_some(), "secret", "SECRET"),
        Type::CsiVolume => {
            need(source.csi_volume.is_some(), "csi_volume", "CSI")?;
            let provisioned = source
                .csi_volume
                .as_ref()
                .is_some_and(|v| v.static_provisioning.is_some());
            need(provisioned, "csi_volume.static_provisioning", "CSI")
        }
        Type::Unknown => Err(Invalid::new("'source.type' is unknown")),
    }
}

#[cfg(test)]
mod tests {
    use meseta_proto::json;

    use super::*;

    fn command_refusal(variable: &str) -> Option<String> {
        let text = format!(r#"{{"environment":{{"variables":[{variable}]}}}}"#);
        command(&json::from_slice(text.as_bytes()).unwrap())
            .err()
            .map(|e| e.0)
    }

    fn container_refusal(text: &str) -> Option<String> {
        container(&json::from_slice(text.as_bytes()).unwrap())
            .err()
            .map(|e| e.0)
    }

    #[test]
    fn a_variable_has_what_its_type_says() {
        assert_eq!(command_refusal(r#"{"name":"A","value":""}"#), None);
        assert_eq!(
            command_refusal(r#"{"name":"A"}"#).unwrap(),
            "Environment variable 'A' of type 'VALUE' must have a value set"
        );
        assert_eq!(
            command_refusal(r#"{"name":"A","type":"SECRET","secret":{"type":"VALUE"}}"#).unwrap(),
            "Environment variable 'A' specifies an invalid secret: Secret of type VALUE must have \
             the 'value' field set"
        );
        assert_eq!(
            command_refusal(
                r#"{"name":"A","type":"SECRET","secret":{"type":"VALUE","value":{"data":"AA=="}}}"#
            )
            .unwrap(),
            "Environment variable 'A' specifies a secret containing null bytes, which is not \
             allowed in the environment"
        );
    }

    #[test]
    fn a_container_has_what_its_type_says() {
        assert_eq!(container_refusal(r#"{"type":"MESOS"}"#), None);
        assert_eq!(
            container_refusal(r#"{"type":"DOCKER"}"#).unwrap(),
            "DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"
        );
        assert_eq!(
            container_refusal(
                r#"{"type":"DOCKER","docker":{"image":"i","parameters":[{"key":"name","value":"n"}]}}"#
            )
            .unwrap(),
            "Parameter in DockerInfo must not be 'name'"
        );
        assert_eq!(
            container_refusal(r#"{"type":"MESOS","volumes":[{"mode":"RW","container_path":"p"}]}"#)
                .unwrap(),
            "Invalid volume: Only one of them should be set: 'host_path', 'image' and 'source'"
        );
    }
}
