//! `confide pull`: a model from the hub into the local cache.

use clap::Args;

use super::{Global, Outcome};
use crate::error::Result;

/// Fetches a model from the Hugging Face hub; the only command that reaches a network
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  confide pull sentence-transformers/all-mpnet-base-v2\n\n\
    The files go to the standard cache (HF_HOME), where every command finds the model by its\n\
    name. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean to Hugging Face's own\n\
    programs. A download that was cut goes on when the same command is run again.")]
pub struct PullArgs {
    /// The model, as owner/name or owner/name@revision
    #[arg(value_name = "MODEL")]
    model: String,
    /// A branch, a tag, or the commit that pins it
    #[arg(long, value_name = "REVISION", env = "CONFIDE_REVISION")]
    revision: Option<String>,
}

/// Fetches the model.
#[cfg(feature = "hub")]
pub fn run(args: &PullArgs, global: &Global) -> Result<Outcome> {
    use super::messages::Messages;
    use super::table::{Table, print};
    use crate::encoder::HubId;
    use crate::error::Error;
    use crate::hub::{Watcher, pull};

    struct View {
        messages: Messages,
        bar: indicatif::ProgressBar,
    }

    impl Watcher for View {
        fn begins(&mut self, file: &str, here: u64, bytes: u64) {
            self.bar.finish_and_clear();
            self.bar = self.messages.bar(bytes, "bytes");
            self.bar.set_prefix(file.to_owned());
            self.bar.set_position(here);
            if here > 0 {
                self.messages.note(&format!("{file}: going on after {here} of {bytes} bytes"));
            }
        }

        fn received(&mut self, bytes: u64) {
            self.bar.inc(bytes);
        }

        fn again(&mut self, file: &str) {
            self.messages.note(&format!("{file}: the connection broke, trying again"));
        }
    }

    let asked = match &args.revision {
        Some(revision) => format!("{}@{revision}", args.model),
        None => args.model.clone(),
    };
    let id = HubId::parse(&asked).ok_or_else(|| {
        Error::usage("this is no name of a model of the hub")
            .at("MODEL")
            .advise("names look like owner/name, or owner/name@revision")
    })?;
    let messages = Messages::new(global);
    let mut view = View { messages, bar: indicatif::ProgressBar::hidden() };
    let pulled = pull(&id, &mut view);
    view.bar.finish_and_clear();
    let pulled = pulled?;
    let mut table = Table::new(["file", "bytes"]);
    for (file, bytes) in &pulled.files {
        table.row([file.clone(), bytes.to_string()]);
    }
    let folder = pulled.folder.display();
    print(&format!("{} at commit {}\n{table}in {folder}\n", id.name, pulled.commit))?;
    Ok(Outcome::Done)
}

/// Says that this build cannot.
#[cfg(not(feature = "hub"))]
pub fn run(args: &PullArgs, _: &Global) -> Result<Outcome> {
    let _ = &args.revision;
    Err(crate::error::Error::usage("this build holds no network code")
        .at(args.model.clone())
        .advise("fetch the model's folder with another program, and name it with --base"))
}
