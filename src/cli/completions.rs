//! `assay completions`: completions for a shell, from the same definitions as `--help`.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::Exit;

/// Print completions for a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  assay completions bash > ~/.local/share/bash-completion/completions/assay
  assay completions zsh > ~/.zfunc/_assay")]
pub struct Arguments {
    shell: Shell,
}

pub fn completions(arguments: &Arguments) -> Exit {
    generate(arguments.shell, &mut super::Arguments::command(), "assay", &mut std::io::stdout());
    Exit::DONE
}
