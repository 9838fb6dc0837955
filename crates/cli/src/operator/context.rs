//! Which cluster a command speaks to: `--master`, `MESETA_MASTER`, or a context of the
//! configuration file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

use super::arguments::{Common, Context as Command, Scheme};
use super::client::{Access, Client, Credentials};
use super::error::Error;
use super::output::{Output, Table};

/// Where masters listen unless told otherwise.
const DEFAULT_MASTER: &str = "127.0.0.1:5050";
const DEFAULT_PORT: u16 = 5050;

/// The file, as it stands.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    /// The context that is used when none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    contexts: BTreeMap<String, Context>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Context {
    /// Masters, as `--master` takes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    master: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// Certificates of those who vouch for masters and agents with TLS, in place of those that the
    /// system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_cert: Option<PathBuf>,
    /// How agents are reached; as the masters, unless it is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    agents: Option<Scheme>,
}

impl Configuration {
    fn read(path: &Path) -> Result<Self, Error> {
        let failed = |reason: String| Error::Configuration {
            attempt: "read",
            path: path.to_owned(),
            reason,
        };
        match fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|e| failed(e.message().to_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(failed(e.to_string())),
        }
    }

    /// Puts the whole file in place at once. It holds secrets and is its owner's alone.
    fn write(&self, path: &Path) -> Result<(), Error> {
        let attempt = || -> io::Result<()> {
            let text = toml::to_string(self).map_err(io::Error::other)?;
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let new = path.with_extension("toml.new");
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, path)
        };
        attempt().map_err(|e| Error::Configuration {
            attempt: "write",
            path: path.to_owned(),
            reason: e.to_string(),
        })
    }

    fn named(&self, name: &str) -> Result<&Context, Error> {
        self.contexts.get(name).ok_or_else(|| Error::Unknown {
            kind: "context",
            wanted: name.to_owned(),
            list: "meseta context list",
        })
    }
}

/// `$XDG_CONFIG_HOME/meseta/config.toml`, `~/.config/meseta/config.toml` as a rule.
fn path() -> Result<PathBuf, Error> {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    };
    let folder = from("XDG_CONFIG_HOME").or_else(|| from("HOME").map(|it| it.join(".config")));
    let folder = folder.ok_or_else(|| Error::Configuration {
        attempt: "find",
        path: "~/.config/meseta/config.toml".into(),
        reason: "neither HOME nor XDG_CONFIG_HOME is set".to_owned(),
    })?;
    Ok(folder.join("meseta/config.toml"))
}

/// The cluster that these arguments mean. A master that is named outright gets no credentials of a
/// context that is not: they are for the masters beside them.
pub(super) fn client(common: &Common) -> Result<Client, Error> {
    let context = match (&common.context, &common.master) {
        (None, Some(_)) => Context::default(),
        (name, _) => {
            let configuration = match path() {
                Ok(path) => Configuration::read(&path)?,
                // Without a home there are no contexts, which is well unless one is named.
                Err(error) if name.is_some() => return Err(error),
                Err(_) => Configuration::default(),
            };
            match name.as_ref().or(configuration.current.as_ref()) {
                Some(name) => configuration.named(name)?.clone(),
                None => Context::default(),
            }
        }
    };
    let masters = common.master.as_ref().or(context.master.as_ref());
    let masters = masters.map_or(DEFAULT_MASTER, String::as_str);
    let credentials = context.principal.map(|principal| Credentials {
        principal,
        secret: context.secret.unwrap_or_default(),
    });
    let masters = bases(masters)?;
    let secure = masters.iter().any(|it| it.starts_with("https://"));
    let agents = match context.agents {
        Some(Scheme::Https) => "https://",
        None if secure => "https://",
        Some(Scheme::Http) | None => "http://",
    };
    let trusted = match common.ca_cert.as_ref().or(context.ca_cert.as_ref()) {
        Some(file) => authorities(file)?,
        None if secure || agents == "https://" => of_the_system(),
        None => RootCerts::WebPki,
    };
    Ok(Client::new(Access {
        masters,
        agents,
        credentials,
        trusted,
    }))
}

/// The authorities in a file of PEM.
fn authorities(file: &Path) -> Result<RootCerts, Error> {
    let pem = fs::read(file).map_err(|source| Error::Local {
        attempt: format!("read the certificates in {}", file.display()),
        source,
    })?;
    let refused = |reason: String| Error::Word {
        what: "file of certificates",
        value: file.display().to_string(),
        reason,
    };
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(found) = item.map_err(|e| refused(e.to_string()))? {
            certificates.push(found);
        }
    }
    if certificates.is_empty() {
        return Err(refused("no certificate in PEM is in it".to_owned()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// Whom this machine trusts; where it trusts nobody, whom browsers trust.
fn of_the_system() -> RootCerts {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        return RootCerts::WebPki;
    }
    let certificates: Vec<_> = found
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    RootCerts::new_with_certs(&certificates)
}

/// The base URLs of masters: `host`, `host:port`, `master@host:port` or an `http(s)://` of those,
/// with commas between.
fn bases(masters: &str) -> Result<Vec<String>, Error> {
    masters
        .split(',')
        .map(str::trim)
        .map(|master| {
            let refused = |reason: &str| Error::Word {
                what: "master",
                value: master.to_owned(),
                reason: reason.to_owned(),
            };
            let (scheme, rest) = match master.split_once("://") {
                None => ("http", master),
                Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
                Some(("zk", _)) => {
                    let reason =
                        "masters are not found through ZooKeeper yet: give their host:port";
                    return Err(refused(reason));
                }
                Some(_) => return Err(refused("expected host:port or https://host:port")),
            };
            let rest = rest.strip_prefix("master@").unwrap_or(rest);
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            let is_bad = |c: char| c == '/' || c == '@' || c.is_whitespace();
            if rest.is_empty() || rest.contains(is_bad) {
                return Err(refused("expected host:port"));
            }
            // The colons of an IPv6 address stand in brackets.
            let after_host = rest.rsplit(']').next().unwrap_or(rest);
            if after_host.contains(':') {
                Ok(format!("{scheme}://{rest}"))
            } else {
                Ok(format!("{scheme}://{rest}:{DEFAULT_PORT}"))
            }
        })
        .collect()
}

/// `meseta context`.
pub(super) fn run(command: Command, common: &Common, output: &Output) -> Result<(), Error> {
    let path = path()?;
    let mut configuration = Configuration::read(&path)?;
    match command {
        Command::List => list(&configuration, output),
        Command::Use { name } => {
            configuration.named(&name)?;
            configuration.current = Some(name.clone());
            configuration.write(&path)?;
            output.done(&format!("Context {name} is used from now on."))
        }
        Command::Remove { name } => {
            configuration.named(&name)?;
            configuration.contexts.remove(&name);
            configuration.current.take_if(|current| *current == name);
            configuration.write(&path)?;
            output.done(&format!("Context {name} is forgotten."))
        }
        Command::Set {
            name,
            address,
            principal,
            secret,
            agents,
        } => {
            let address = address.or_else(|| said(common.master.as_ref(), "MESETA_MASTER"));
            let ca_cert = said(common.ca_cert.as_ref(), "MESETA_CA_CERT");
            let ca_cert = ca_cert.as_deref().map(whole_path).transpose()?;
            if let Some(masters) = &address {
                bases(masters)?;
            }
            let secret = secret.map(|file| read_secret(&file)).transpose()?;
            let context = configuration.contexts.entry(name.clone()).or_default();
            context.master = address.or(context.master.take());
            context.principal = principal.or(context.principal.take());
            context.secret = secret.or(context.secret.take());
            context.ca_cert = ca_cert.or(context.ca_cert.take());
            context.agents = agents.or(context.agents);
            configuration.current.get_or_insert_with(|| name.clone());
            configuration.write(&path)?;
            output.done(&format!("Context {name} is kept in {}.", path.display()))
        }
    }
}

/// What a flag says that may be a variable as well: variables are for commands, and not to be kept.
fn said<T: AsRef<OsStr> + Clone>(value: Option<&T>, variable: &str) -> Option<T> {
    let is_said = |value: &&T| std::env::var_os(variable).as_deref() != Some((*value).as_ref());
    value.filter(is_said).cloned()
}

/// The path of a file with certificates, which holds wherever a command is given.
fn whole_path(file: &Path) -> Result<PathBuf, Error> {
    authorities(file)?;
    file.canonicalize().map_err(|source| Error::Local {
        attempt: format!("find {}", file.display()),
        source,
    })
}

fn read_secret(file: &Path) -> Result<String, Error> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(source) => Err(Error::Local {
            attempt: format!("read the secret in {}", file.display()),
            source,
        }),
    }
}

fn list(configuration: &Configuration, output: &Output) -> Result<(), Error> {
    if !output.is_for_people() {
        // Secrets stay in the file.
        let mut shown = configuration.clone();
        for context in shown.contexts.values_mut() {
            context.secret = None;
        }
        return output.value(&shown);
    }
    let mut table = Table::new(["CURRENT", "CONTEXT", "MASTER", "PRINCIPAL"]);
    for (name, context) in &configuration.contexts {
        let is_current = configuration.current.as_ref() == Some(name);
        table.row([
            if is_current { "*" } else { "" }.to_owned(),
            name.clone(),
            context.master.clone().unwrap_or_default(),
            context.principal.clone().unwrap_or_default(),
        ]);
    }
    output.table(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_are_named_in_many_forms() {
        for (text, expected) in [
            ("a", "http://a:5050"),
            ("a:1", "http://a:1"),
            ("master@a:1", "http://a:1"),
            ("https://a", "https://a:5050"),
            ("[::1]", "http://[::1]:5050"),
            ("[::1]:7", "http://[::1]:7"),
        ] {
            assert_eq!(bases(text).unwrap(), [expected], "{text}");
        }
        assert_eq!(bases("a:1, b:2").unwrap(), ["http://a:1", "http://b:2"]);
        for text in ["", "a,", "zk://a:2181/mesos", "ftp://a", "a/b", "u@a"] {
            assert!(bases(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_configuration_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meseta/config.toml");
        assert_eq!(
            Configuration::read(&path).unwrap(),
            Configuration::default()
        );
        let context = Context {
            master: Some("a:5050".to_owned()),
            principal: Some("ops".to_owned()),
            secret: None,
            ca_cert: Some("/etc/ca.pem".into()),
            agents: Some(Scheme::Http),
        };
        let written = Configuration {
            current: Some("prod".to_owned()),
            contexts: BTreeMap::from([("prod".to_owned(), context)]),
        };
        written.write(&path).unwrap();
        assert_eq!(Configuration::read(&path).unwrap(), written);
    }
}
