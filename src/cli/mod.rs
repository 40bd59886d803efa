//! The command line: one file per command, and the only place that prints.

mod agree;
mod check;
mod classify;
mod compare;
mod compute;
mod counts;
mod cross_fitting;
mod decided;
mod doctor;
mod doubtful;
mod drift;
mod evaluate;
mod export;
mod forget;
mod import;
mod input;
mod joined;
mod messages;
mod new_table;
mod prevalence;
mod process;
mod pull;
mod quickstart;
mod recipe_choice;
mod redact;
mod report;
mod sample;
mod sandbox;
mod screening;
mod self_training;
mod split;
mod suspects;
mod table;
mod teachers;
mod train;
mod training_rows;
mod validation;
mod verified;

pub use process::{Memory, keep_memory, single_threaded_operations};

use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use sandbox::Sandbox;

use crate::encoder::DeviceRequest;
use crate::error::Result;

/// Codes sensitive comments with your codebook, on this machine, and tells nobody.
#[derive(Debug, Parser)]
#[command(name = "confide", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Worker threads [default: one per core]
    #[arg(long, global = true, env = "CONFIDE_THREADS", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Where to compute: cpu, cuda, cuda:N, metal, or auto, which is a GPU if there is one
    /// [default: auto]
    #[arg(long, global = true, env = "CONFIDE_DEVICE")]
    pub device: Option<DeviceRequest>,
    /// The seed that every random draw follows from
    #[arg(long, global = true, env = "CONFIDE_SEED", default_value_t = 0)]
    pub seed: u64,
    /// Print nothing but results and errors
    #[arg(short, long, global = true, env = "CONFIDE_QUIET", action = ArgAction::SetTrue)]
    pub quiet: bool,
    /// Print more about what is done; repeat for more still
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Do not ask the kernel to refuse this process the network and other files; it is recorded
    #[arg(long, global = true, env = "CONFIDE_NO_SANDBOX", value_parser = FalseyValueParser::new())]
    pub no_sandbox: bool,
    /// How messages on standard error are written
    #[arg(long, global = true, env = "CONFIDE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How messages on standard error are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::CheckArgs),
    Split(split::SplitArgs),
    Train(train::TrainArgs),
    Evaluate(evaluate::EvaluateArgs),
    Classify(classify::ClassifyArgs),
    Agree(agree::AgreeArgs),
    Compare(compare::CompareArgs),
    Prevalence(prevalence::PrevalenceArgs),
    Drift(drift::DriftArgs),
    Report(report::ReportArgs),
    Redact(redact::RedactArgs),
    Sample(Box<sample::SampleArgs>),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    Forget(forget::ForgetArgs),
    Quickstart(quickstart::QuickstartArgs),
    Pull(pull::PullArgs),
    Doctor(doctor::DoctorArgs),
}

/// How a command ended when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, counted warnings included (exit 0).
    Done,
    /// Done, with findings that the user must see to (exit 1).
    Findings,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    process::keep_memory();
    process::single_threaded_operations();
    process::keep_to_owner();
    let mut command = Cli::command();
    let parsed = command.try_get_matches_from_mut(std::env::args_os()).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command))?;
        Ok((cli, matches))
    });
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return misused(&error),
    };
    let may_connect = matches!(cli.command, Command::Pull(_)) && cfg!(feature = "hub");
    let sandbox = match cli.global.no_sandbox {
        true => Sandbox::none("--no-sandbox was given"),
        false => Sandbox::enter(&command, &matches, may_connect),
    };
    let messages = messages::Messages::new(&cli.global);
    if cli.global.no_sandbox {
        messages.warn(
            "--no-sandbox: nothing keeps this process from the network and from other files but its \
             own code",
        );
    }
    let outcome = run(&cli, &sandbox);
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(1),
        Err(error) => {
            messages.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Help and versions go to standard output as they are; mistakes are messages.
fn misused(error: &clap::Error) -> ExitCode {
    let messages = messages::Messages::of_misused(std::env::args_os());
    if !messages.are_json() || !error.use_stderr() {
        error.exit();
    }
    messages.misuse(error);
    ExitCode::from(crate::error::Kind::Usage.exit_code())
}

fn run(cli: &Cli, sandbox: &Sandbox) -> Result<Outcome> {
    process::start_workers(&cli.global)?;
    match &cli.command {
        Command::Check(args) => check::run(args, &cli.global),
        Command::Split(args) => split::run(args, &cli.global),
        Command::Train(args) => train::run(args, &cli.global, sandbox),
        Command::Evaluate(args) => evaluate::run(args, &cli.global),
        Command::Classify(args) => classify::run(args, &cli.global),
        Command::Agree(args) => agree::run(args, &cli.global),
        Command::Compare(args) => compare::run(args, &cli.global),
        Command::Import(args) => import::run(args, &cli.global),
        Command::Sample(args) => sample::run(args, &cli.global),
        Command::Drift(args) => drift::run(args, &cli.global),
        Command::Report(args) => report::run(args, &cli.global),
        Command::Redact(args) => redact::run(args, &cli.global),
        Command::Prevalence(args) => prevalence::run(args, &cli.global),
        Command::Export(args) => export::run(args, &cli.global),
        Command::Forget(args) => forget::run(args, &cli.global),
        Command::Quickstart(args) => quickstart::run(args, &cli.global, sandbox),
        Command::Pull(args) => pull::run(args, &cli.global),
        Command::Doctor(args) => doctor::run(args, &cli.global, sandbox),
    }
}
