//! `cargo xtask test`: what the tests need, and then all of them.

use std::path::Path;

use crate::command::{Run, answers};
use crate::error::Error;
use crate::instructions;

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
        what: "npm, for whether the web page is accessible to everybody",
        probe: &["npm", "--version"],
        packages: &["npm"],
    },
    Need {
        what: "valgrind, for how many instructions hot paths take",
        probe: &["valgrind", "--version"],
        packages: &["valgrind"],
    },
    Need {
        what: "tmux, for `meseta top` in a terminal",
        probe: &["tmux", "-V"],
        packages: &["tmux"],
    },
    Need {
        what: "ZooKeeper and a Java for it, for frameworks that look the leading master up",
        probe: &[
            "sh",
            "-c",
            "test -e /usr/share/java/zookeeper.jar && java -version",
        ],
        packages: &["zookeeper", "default-jre-headless"],
    },
    Need {
        what: "zsh and fish, for the completions of commands",
        probe: &["sh", "-c", "zsh --version && fish --version"],
        packages: &["zsh", "fish"],
    },
    Need {
        what: "Python with venv, for a genuine Mesos and other servers to test against",
        probe: &["python3", "-c", "import venv, ensurepip"],
        packages: &["python3", "python3-venv"],
    },
    Need {
        what: "Python's headers, for a published client that is partly C",
        probe: &[
            "python3",
            "-c",
            "import os, sysconfig; os.stat(sysconfig.get_path('include') + '/Python.h')",
        ],
        packages: &["python3-dev"],
    },
    Need {
        what: "Node and npm, for a published client in JavaScript",
        probe: &["sh", "-c", "node --version && npm --version"],
        packages: &["nodejs", "npm"],
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

/// Programs of others that tests run, put into a folder by a script that does nothing when all is there.
/// Their tests skip themselves, and say so, where they can't be had: that is no failure of what is
/// under test.
struct Fixture {
    script: &'static str,
    folder: &'static str,
    help: &'static str,
}

const FIXTURES: &[Fixture] = &[
    Fixture {
        script: "tests/axe/setup.sh",
        folder: "target/axe",
        help: "the check whether the web page is accessible to everybody will skip itself",
    },
    Fixture {
        script: "tests/oracle/setup.sh",
        folder: "target/oracle",
        help: "the tests against a genuine Mesos will skip themselves",
    },
    Fixture {
        script: "tests/servers/setup.sh",
        folder: "target/servers",
        help: "the tests that fetch from real servers will skip themselves",
    },
    Fixture {
        script: "tests/clients/setup.sh",
        folder: "target/clients",
        help: "the tests of published clients will skip themselves",
    },
    Fixture {
        script: "tests/readers/setup.sh",
        folder: "target/readers",
        help: "the tests of published programs that read a cluster will skip themselves",
    },
    Fixture {
        script: "examples/notebook/setup.sh",
        folder: "target/notebook",
        help: "the notebook's test will skip itself",
    },
];

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), Error> {
    provide(root)?;
    for fixture in FIXTURES {
        set_up(root, fixture);
    }
    if arguments.is_empty() {
        build_examples(root)?;
    }
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
    .show()?;
    if answers(&["valgrind", "--version"]) {
        return instructions::run(root, &[]);
    }
    eprintln!("SKIPPED: the instructions of hot paths are not counted without valgrind");
    Ok(())
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

/// Builds the examples as their tests ask for them, so that no test's patience has to last for that.
fn build_examples(root: &Path) -> Result<(), Error> {
    for what in [
        &["--package", "images"][..],
        &["--package", "scheduler"],
        &["--package", "stateful"],
        &["--package", "meseta-framework", "--example", "hello"],
        &["--package", "meseta-framework", "--example", "executor"],
    ] {
        let mut line = vec!["cargo", "build", "--quiet"];
        line.extend(what);
        Run {
            root,
            line: &line,
            help: "mend what the compiler names above",
        }
        .show()?;
    }
    Ok(())
}

fn set_up(root: &Path, fixture: &Fixture) {
    let outcome = Run {
        root,
        line: &["bash", fixture.script, fixture.folder],
        help: fixture.help,
    }
    .show();
    if let Err(error) = outcome {
        eprintln!("({error})");
    }
}
