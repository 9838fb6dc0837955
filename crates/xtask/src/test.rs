//! `cargo xtask test`: what the tests need, and then all of them.

use std::path::Path;

use crate::command::{Run, answers};
use crate::error::Error;

/// Something that tests use beside the Rust toolchain.
struct Need {
    what: &'static str,
    /// Success means that it is there.
    probe: &'static [&'static str],
    /// The Debian packages that bring it.
    packages: &'static [&'static str],
}

const NEEDS: &[Need] = &[
    Need {
        what: "curl, for the tutorial",
        probe: &["curl", "--version"],
        packages: &["curl"],
    },
    Need {
        what: "a browser, for the web page",
        probe: &[
            "sh",
            "-c",
            "command -v chromium || command -v google-chrome",
        ],
        packages: &["chromium"],
    },
    Need {
        what: "tmux, for `meseta top` in a terminal",
        probe: &["tmux", "-V"],
        packages: &["tmux"],
    },
    Need {
        what: "Python with venv, for a genuine Mesos and other servers to test against",
        probe: &["python3", "-c", "import venv, ensurepip"],
        packages: &["python3", "python3-venv"],
    },
    Need {
        what: "a C++ compiler and the libraries of a genuine Mesos",
        probe: &[
            "sh",
            "-c",
            "g++ --version && nm --version && PATH=$PATH:/sbin ldconfig -p | grep libsvn_delta-1 \
             && PATH=$PATH:/sbin ldconfig -p | grep libsasl2",
        ],
        packages: &[
            "g++",
            "binutils",
            "libsvn1",
            "libapr1",
            "libsasl2-2",
            "libsasl2-modules",
        ],
    },
];

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), Error> {
    provide(root)?;
    set_up_oracle(root);
    set_up_servers(root);
    let nextest = answers(&["cargo", "nextest", "--version"]);
    let mut line: Vec<&str> = if nextest {
        vec!["cargo", "nextest", "run"]
    } else {
        vec!["cargo", "test"]
    };
    if arguments.is_empty() {
        line.push("--workspace");
        if !nextest {
            line.push("--all-targets");
        }
    }
    line.extend(arguments.iter().map(String::as_str));
    Run {
        root,
        line: &line,
        help: "the failed tests are named above; `cargo xtask test NAME` runs one again",
    }
    .show()?;
    if !arguments.is_empty() {
        return Ok(());
    }
    // Neither of the two runners above takes the examples in the documentation with it.
    Run {
        root,
        line: &["cargo", "test", "--workspace", "--doc"],
        help: "an example in the documentation no longer holds; it is named above",
    }
    .show()
}

/// Installs what is missing, or says which tests will be skipped for it.
fn provide(root: &Path) -> Result<(), Error> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !answers(need.probe)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing
        .iter()
        .flat_map(|need| need.packages.iter().copied())
        .collect();
    packages.sort_unstable();
    let root_user = answers(&["sh", "-c", "test \"$(id -u)\" = 0"]);
    if !root_user || !answers(&["apt-get", "--version"]) {
        for need in missing {
            eprintln!("(missing: {}; its tests will skip themselves)", need.what);
        }
        eprintln!("(on Debian: sudo apt-get install {})", packages.join(" "));
        return Ok(());
    }
    let help = "install the packages by hand, or run the tests as another user, without them";
    Run {
        root,
        line: &["apt-get", "update", "-qq"],
        help,
    }
    .show()?;
    let mut line = vec![
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
    ];
    line.extend(&packages);
    Run {
        root,
        line: &line,
        help,
    }
    .show()
}

/// Puts servers to fetch from into `target/servers`. Their tests skip themselves where they can't be
/// had.
fn set_up_servers(root: &Path) {
    let outcome = Run {
        root,
        line: &["bash", "tests/servers/setup.sh", "target/servers"],
        help: "the tests that fetch from real servers will skip themselves",
    }
    .show();
    if let Err(error) = outcome {
        eprintln!("({error})");
    }
}

/// Puts a genuine Mesos to test against into `target/oracle`. Its tests skip themselves, and say
/// so, where it can't be had: that is no failure of what is under test.
fn set_up_oracle(root: &Path) {
    let outcome = Run {
        root,
        line: &["bash", "tests/oracle/setup.sh", "target/oracle"],
        help: "the tests against a genuine Mesos will skip themselves",
    }
    .show();
    if let Err(error) = outcome {
        eprintln!("({error})");
    }
}
