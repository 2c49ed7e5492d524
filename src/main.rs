//! Assay: a declarative runner for experiments on the inside of language models.
//!
//! The only file that names the catalogue of kinds.

mod cli;
mod graph;
mod manifest;
mod markup;
mod plan;
mod report;
mod run;

fn main() -> std::process::ExitCode {
    cli::main(assay_stages::CATALOGUE)
}
