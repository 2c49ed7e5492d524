//! The command line: one file a subcommand.

mod cells;
mod completions;
mod conclusion;
mod devices;
mod diff;
mod exit;
mod export;
mod fetch;
mod gc;
mod graph;
mod kinds;
mod live;
mod new;
mod pace;
mod plan;
mod progress;
mod reasons;
mod recorder;
mod run;
mod schema;
mod select;
mod show;
mod status;
mod study;
mod values;
mod verify;
mod whole_store;

use std::{
    ffi::OsString,
    io::{ErrorKind, Write},
    path::Path,
    process::ExitCode,
};

use assay_stages::Kind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::Exit;

/// A declarative runner for experiments on the inside of language models.
///
/// A study is one TOML manifest: a DAG of stages (load a model, generate and capture, compute a metric, rank, ablate,
/// plot). Finished stages are cached by content, and a run that was killed goes on where it stopped.
#[derive(Parser)]
#[command(name = "assay", version, max_term_width = 110, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  assay manifests/quickstart.toml              run a study (short for `assay run`)
  assay plan manifests/quickstart.toml         what would run, what is cached
  assay run manifests/quickstart.toml --set texts=16
  assay status manifests/quickstart.toml       how far it is
  assay show manifests/quickstart.toml rank    print a result
  assay diff manifests/quickstart.toml --set texts=16
  assay stages generate                        what a kind takes and gives

Exit codes: 0 done; 1 a stage failed; 2 the manifest or the usage is wrong;
3 an expectation failed; 75 stopped, run again to resume; 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    Run(run::Arguments),
    Plan(plan::Arguments),
    Status(status::Arguments),
    Show(show::Arguments),
    Diff(diff::Arguments),
    Export(export::Arguments),
    Fetch(fetch::Arguments),
    Graph(graph::Arguments),
    Verify(verify::Arguments),
    Gc(gc::Arguments),
    Stages(kinds::Arguments),
    Schema(schema::Arguments),
    New(new::Arguments),
    Devices(devices::Arguments),
    Completions(completions::Arguments),
}

/// Does what the command line says.
pub fn main(catalogue: &'static [Kind]) -> ExitCode {
    let arguments = match parse(std::env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap prints help and versions to stdout, mistakes to stderr; a closed pipe is nobody's mistake.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    start_log();
    let done = match arguments.command {
        Command::Run(arguments) => run::run(&arguments, catalogue),
        Command::Plan(arguments) => plan::plan(&arguments, catalogue),
        Command::Status(arguments) => status::status(&arguments, catalogue),
        Command::Show(arguments) => show::show(&arguments, catalogue),
        Command::Diff(arguments) => diff::diff(&arguments, catalogue),
        Command::Export(arguments) => export::export(&arguments, catalogue),
        Command::Fetch(arguments) => fetch::fetch(&arguments, catalogue),
        Command::Graph(arguments) => graph::graph(&arguments, catalogue),
        Command::Verify(arguments) => verify::verify(&arguments),
        Command::Gc(arguments) => gc::gc(&arguments),
        Command::Stages(arguments) => kinds::stages(&arguments, catalogue),
        Command::Schema(arguments) => schema::schema(&arguments, catalogue),
        Command::New(arguments) => new::new(&arguments),
        Command::Devices(arguments) => Ok(devices::devices(&arguments)),
        Command::Completions(arguments) => Ok(completions::completions(&arguments)),
    };
    done.unwrap_or_else(|exit| exit).report()
}

/// `assay MANIFEST …` is short for `assay run MANIFEST …`.
fn parse(mut arguments: Vec<OsString>) -> Result<Arguments, clap::Error> {
    let is_command = |name: &str| name == "help" || Arguments::command().find_subcommand(name).is_some();
    if let Some(first) = arguments.get(1).and_then(|first| first.to_str())
        && !is_command(first)
        && (first.ends_with(".toml") || Path::new(first).is_file())
    {
        arguments.insert(1, "run".into());
    }
    Arguments::from_arg_matches(&Arguments::command().try_get_matches_from(arguments)?)
}

/// Prints a page. A reader that has seen enough closes the pipe, which is no failure; a full disk is one.
fn print(page: &str) -> Result<(), Exit> {
    let mut stdout = std::io::stdout();
    match stdout.write_all(page.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Exit::failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Logs go to stderr: warnings, and how far downloads are. `ASSAY_LOG` sets what is logged (`debug`, `assay_stages=trace`).
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ASSAY_LOG").unwrap_or_else(|_| "warn,fetch=info".into());
    let colors = console::colors_enabled_stderr();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_target(false).with_ansi(colors).init();
}
