//! What the kernel keeps a command from doing: sockets (seccomp), and files that it was not given
//! (Landlock). Applied before any thread exists, so that it holds for all of them and for children.

mod files;
mod places;
mod sockets;

use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use files::Files;
use places::Places;
use sockets::Network;

/// What is in force for this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    network: Network,
    files: Files,
}

impl Sandbox {
    /// Has the kernel refuse this process all that the command line gives no reason for.
    pub fn enter(command: &Command, matches: &ArgMatches, may_connect: bool) -> Self {
        let network = match may_connect {
            true => Network::Off("this command fetches from the network".into()),
            false => sockets::deny_network(),
        };
        let files = match cfg!(feature = "cuda") {
            true => Files::Off("the graphics driver reads and writes in places of its own".into()),
            false => files::restrict(&Places::of(command, matches, may_connect), may_connect),
        };
        Self { network, files }
    }

    /// Asks the kernel for nothing.
    pub fn none(why: &str) -> Self {
        Self { network: Network::Off(why.into()), files: Files::Off(why.into()) }
    }

    /// Whether no connection can be opened.
    pub fn network_denied(&self) -> bool {
        !matches!(self.network, Network::Off(_))
    }

    /// What holds for the network, for people.
    pub fn network(&self) -> String {
        match &self.network {
            Network::NoSockets => "the kernel refuses this process every socket (seccomp)".into(),
            Network::NoConnections => {
                "the kernel refuses this process every socket but local ones without a connection, \
                 which the graphics driver opens (seccomp)"
                    .into()
            }
            Network::Off(why) => format!("not in force: {why}"),
        }
    }

    /// What holds for files, for people.
    pub fn files(&self) -> String {
        match &self.files {
            Files::InForce { reading: true, .. } => {
                "the kernel lets it write below the folders of its outputs alone, read what it was \
                 given and the system's files alone, and start no program (Landlock)"
                    .into()
            }
            Files::InForce { reading: false, .. } => {
                "the kernel lets it write below the folders of its outputs alone, and start no \
                 program; reading is not limited (Landlock)"
                    .into()
            }
            Files::Off(why) => format!("not in force: {why}"),
        }
    }

    /// Both in one sentence.
    pub fn describe(&self) -> String {
        match (&self.network, &self.files) {
            (Network::Off(one), Files::Off(other)) if one == other => self.network(),
            (_, Files::Off(why)) => format!("{}; no limit to files: {why}", self.network()),
            (Network::Off(why), _) => format!("no limit to sockets: {why}; {}", self.files()),
            _ => format!("{}; {}", self.network(), self.files()),
        }
    }

    /// What was in force, for a run's record.
    pub fn record(&self) -> Value {
        let landlock = match &self.files {
            Files::InForce { level, reading, tcp } => json!({
                "level": level, "writing": true, "reading": reading, "tcp": tcp,
            }),
            Files::Off(_) => Value::Null,
        };
        json!({ "network_denied": self.network_denied(), "landlock": landlock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_is_told_of_each_part() {
        let files = Files::InForce { level: 7, reading: true, tcp: true };
        let whole = Sandbox { network: Network::NoSockets, files: files.clone() };
        assert!(whole.describe().contains("seccomp") && whole.describe().contains("Landlock"));
        assert_eq!(whole.record()["landlock"]["level"], 7);
        let none = Sandbox::none("--no-sandbox was given");
        assert_eq!(none.describe(), "not in force: --no-sandbox was given");
        assert_eq!(none.record(), json!({"network_denied": false, "landlock": null}));
        let half = Sandbox { network: Network::Off("odd".into()), files };
        assert!(half.describe().starts_with("no limit to sockets: odd; the kernel lets"));
        let other = Sandbox { network: Network::NoSockets, files: Files::Off("old".into()) };
        assert!(other.describe().ends_with("; no limit to files: old"), "{}", other.describe());
    }
}
