//! `confide doctor`: what this machine offers, what will be used, and why.

use clap::Args;
use clap::builder::FalseyValueParser;
use serde_json::json;

use super::compute::{found, level};
use super::sandbox::Sandbox;
use super::table::{Table, print, print_json};
use super::{Global, Outcome};
use crate::encoder::kernels::Level;
use crate::encoder::{Compute, Found, SHIPPED, device_name, hub_cache};
use crate::error::Result;

/// Tells what this machine offers, what will be used, and why
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  confide doctor --json")]
pub struct DoctorArgs {
    /// Print one JSON document instead of a table
    #[arg(long, env = "CONFIDE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
}

pub fn run(args: &DoctorArgs, global: &Global, sandbox: &Sandbox) -> Result<Outcome> {
    let memory = sysinfo::System::new().ok().map(|mut system| {
        system.refresh_memory();
        (system.available_memory(), system.total_memory())
    });
    let kernels: Vec<&str> =
        Level::ALL.into_iter().filter(|l| l.is_here()).map(Level::name).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = rayon::current_num_threads();
    let Found { device, why } = found(global)?;
    let arithmetic = level(&Compute::default());
    let device = device_name(&device);
    let why = why.unwrap_or_else(|| match global.device {
        Some(_) => "as --device asks".into(),
        None => "found on this machine".into(),
    });
    let gigabytes = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let home = hub_cache().map_or_else(
        || "none: there is no home folder, and HF_HOME is not set".to_owned(),
        |cache| cache.display().to_string(),
    );
    if args.json {
        print_json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "system": std::env::consts::OS,
            "kernel_version": sysinfo::System::kernel_version().ok(),
            "kernel_level": arithmetic,
            "kernels": kernels,
            "cores": cores,
            "threads": threads,
            "memory_bytes": memory.map(|(_, total)| total),
            "memory_available_bytes": memory.map(|(available, _)| available),
            "device": device,
            "device_why": why,
            "encoders": SHIPPED,
            "model_cache": home,
            "network_denied": sandbox.network_denied(),
            "sandbox": sandbox.describe(),
            "in_force": sandbox.record(),
        }))?;
        return Ok(Outcome::Done);
    }
    let why_threads = match global.threads {
        Some(_) => "as --threads asks",
        None => "one per core; --threads changes it, never the results",
    };
    let mut table = Table::new(["what", "here", "why"]);
    let rows: [[String; 3]; 8] = [
        ["version".into(), env!("CARGO_PKG_VERSION").into(), String::new()],
        [
            "network".into(),
            sandbox.network(),
            if cfg!(feature = "hub") {
                "pull alone is allowed one"
            } else {
                "this build holds no network code"
            }
            .into(),
        ],
        [
            "files".into(),
            sandbox.files(),
            match cfg!(feature = "cuda") {
                true => "builds without cuda are limited",
                false => "pull alone reads without a limit; doctor writes nothing",
            }
            .into(),
        ],
        ["device".into(), device, why],
        ["arithmetic".into(), arithmetic, format!("--kernel knows {}", kernels.join(", "))],
        ["threads".into(), format!("{threads} of {cores} cores"), why_threads.into()],
        [
            "memory".into(),
            memory.map_or_else(
                || "not known".into(),
                |(free, all)| format!("{} of {} free", gigabytes(free), gigabytes(all)),
            ),
            "training the shipped encoder takes about 1 GiB".into(),
        ],
        [
            "encoders".into(),
            if SHIPPED.is_empty() { "none shipped".into() } else { SHIPPED.join(", ") },
            format!("compiled in; others from a folder or from {home}"),
        ],
    ];
    for row in rows {
        table.row(row);
    }
    print(&table.to_string())?;
    Ok(Outcome::Done)
}
